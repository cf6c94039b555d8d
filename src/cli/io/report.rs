//! What a reading of logs found out besides, for people and as JSON.

use crate::cli::io::failure::Failure;
use crate::cli::io::input::Inputs;
use crate::event::Place;
use crate::trace::{Report, Warning};
use serde_json::{json, Map, Value};

/// Prints what was set aside and what is to be warned of to stderr.
pub(crate) fn print(report: &Report, inputs: &Inputs) {
    let count = report.set_aside_count();
    if count > 0 {
        eprintln!("set aside {}:", counted(count, "line"));
        for (kind, tally) in &report.set_aside {
            eprintln!("  {} × {kind} ({})", tally.count, places(&tally.first, tally.count, inputs));
            eprintln!("  hint: {}", kind.hint());
        }
    }
    for warning in &report.warnings {
        warn(&sentence(warning, inputs), &warning.hint());
    }
}

/// The same as JSON.
pub(crate) fn json(report: &Report, inputs: &Inputs) -> Map<String, Value> {
    let set_aside: Vec<Value> = report
        .set_aside
        .iter()
        .map(|(kind, tally)| {
            let first: Vec<String> = tally.first.iter().map(|&p| inputs.place(p)).collect();
            json!({"kind": kind.to_string(), "count": tally.count, "first": first})
        })
        .collect();
    let warnings: Vec<Value> = report
        .warnings
        .iter()
        .map(|w| json!({"warning": sentence(w, inputs), "hint": w.hint()}))
        .collect();
    Map::from_iter([
        ("lines".into(), json!(report.lines)),
        ("calls".into(), json!(report.calls)),
        ("threads".into(), json!(report.threads)),
        ("set_aside".into(), json!(set_aside)),
        ("warnings".into(), json!(warnings)),
    ])
}

/// Prints a warning to stderr.
pub(crate) fn warn(what: &str, hint: &str) {
    eprintln!("warning: {what}");
    if !hint.is_empty() {
        eprintln!("hint: {hint}");
    }
}

/// Under `--strict` a line that was set aside is an error.
pub(crate) fn strict(report: &Report, inputs: &Inputs) -> Result<(), Failure> {
    let Some((kind, tally)) = report.set_aside.first() else {
        return Ok(());
    };
    Err(Failure::new(
        format!(
            "{} set aside, the first: {kind} at {} (--strict)",
            counted(report.set_aside_count(), "line"),
            tally.first.first().map_or_else(String::new, |&p| inputs.place(p)),
        ),
        kind.hint(),
    ))
}

/// A log without a single call is no log.
pub(crate) fn require_calls(report: &Report, inputs: &Inputs) -> Result<(), Failure> {
    if report.calls > 0 {
        return Ok(());
    }
    let first = report.warnings.first();
    Err(Failure::new(
        first.map_or_else(|| "no system call found in the logs".into(), |w| sentence(w, inputs)),
        first.map_or_else(
            || "give a log that strace wrote: strace -f -o FILE CMD".into(),
            Warning::hint,
        ),
    ))
}

/// A warning, with the log that it is about.
fn sentence(warning: &Warning, inputs: &Inputs) -> String {
    match warning.file() {
        Some(file) => format!("{}: {warning}", inputs.file(Place { file, line: 0 })),
        None => warning.to_string(),
    }
}

/// `1 run`, `2 runs`, `2 policies`, `2 processes`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    match noun.strip_suffix('y') {
        _ if count == 1 => format!("1 {noun}"),
        Some(stem) => format!("{count} {stem}ies"),
        None if noun.ends_with('s') => format!("{count} {noun}es"),
        None => format!("{count} {noun}s"),
    }
}

fn places(first: &[Place], count: u64, inputs: &Inputs) -> String {
    let mut text = first.iter().map(|&p| inputs.place(p)).collect::<Vec<_>>().join(", ");
    if count > first.len() as u64 {
        text.push_str(", …");
    }
    text
}
