//! What goes to stderr: warnings, and what a reading of logs found out besides.

use crate::cli::events::event::{Event, Kind};
use crate::cli::format::count::counted;
use crate::cli::io::failure::Failure;
use crate::cli::io::input::Inputs;
use crate::event::Place;
use crate::text::said;
use crate::trace::{Report, Warning};
use serde_json::{json, Value};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints what was set aside and what is to be warned of to stderr.
pub(crate) fn print(report: &Report, inputs: &Inputs) {
    let count = report.set_aside_count();
    if count > 0 {
        eprintln!("set aside {}:", counted(count, "line"));
        for (kind, seen) in &report.set_aside {
            let places = places(&seen.first, seen.count, inputs);
            eprintln!("{}", said(&format!("  {} × {kind} ({places})", seen.count)));
            eprintln!("  hint: {}", said(&kind.hint()));
        }
    }
    for warning in &report.warnings {
        warn(&sentence(warning, inputs), &warning.hint());
    }
}

/// Adds what a reading of logs found out to the event of a report.
pub(crate) fn describe(event: Event, report: &Report, inputs: &Inputs) -> Event {
    let set_aside: Vec<Value> = report
        .set_aside
        .iter()
        .map(|(kind, seen)| {
            let first: Vec<String> = seen.first.iter().map(|&p| inputs.whole_place(p)).collect();
            json!({"kind": kind.to_string(), "count": seen.count, "first": first})
        })
        .collect();
    let warnings: Vec<Value> =
        report.warnings.iter().map(|w| warning(&sentence(w, inputs), &w.hint())).collect();
    event
        .with("lines", report.lines)
        .with("calls", report.calls)
        .with("threads", report.threads)
        .with("set_aside", set_aside)
        .with("warnings", warnings)
}

/// What goes to stderr otherwise, as the log of this program does.
pub(crate) struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        eprint!("{}", said(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether what goes to stderr is JSON. It is decided once, by the command line.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on reports, warnings and errors are JSON.
pub(crate) fn use_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Prints an event to stderr: a report, a warning, an error.
pub(crate) fn event(event: &Event) {
    if JSON.load(Ordering::Relaxed) {
        eprintln!("{}", event.to_json());
    } else {
        eprintln!("{}", event.lines.join("\n"));
    }
}

/// Prints a warning to stderr.
pub(crate) fn warn(what: &str, hint: &str) {
    let mut warning =
        Event::new(Kind::Warning).with("warning", what).saying(format!("warning: {what}"));
    if !hint.is_empty() {
        warning = warning.with("hint", hint).saying(format!("hint: {hint}"));
    }
    event(&warning);
}

/// Prints warnings that have no hint to stderr.
#[cfg(feature = "kernel")]
pub(crate) fn warn_all(warnings: &[String]) {
    for what in warnings {
        warn(what, "");
    }
}

/// A warning as a value of `warnings`.
pub(crate) fn warning(what: &str, hint: &str) -> Value {
    json!({"warning": what, "hint": hint})
}

/// Under `--strict` a line that was set aside is an error.
pub(crate) fn strict(report: &Report, inputs: &Inputs) -> Result<(), Failure> {
    let Some((kind, seen)) = report.set_aside.first() else {
        return Ok(());
    };
    Err(Failure::new(
        format!(
            "{} set aside, the first: {kind} at {} (--strict)",
            counted(report.set_aside_count(), "line"),
            seen.first.first().map_or_else(String::new, |&p| inputs.place(p)),
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

fn places(first: &[Place], count: u64, inputs: &Inputs) -> String {
    let mut text = first.iter().map(|&p| inputs.place(p)).collect::<Vec<_>>().join(", ");
    if count > first.len() as u64 {
        text.push_str(", …");
    }
    text
}
