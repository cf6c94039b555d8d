//! An explanation of a violation: in sentences, and as an event.

use crate::cli::events::event::{Event, Kind};
use crate::cli::format::count::counted;
use crate::explain::{Arg, Explanation, Remedy, Step, Violation};
use crate::machine::{Context, Count};
use crate::policy::{Action, Loaded};
use crate::text::{shown, UntrustedText};
use serde_json::{json, Value};
use std::fmt::Write as _;

/// How many entries of a list are shown; --json has all of them.
const LISTED: usize = 10;

/// The explanation, for people.
pub(crate) fn text(violation: &Violation, loaded: &Loaded, explanation: &Explanation) -> String {
    let mut text = format!("{}\n", header(violation));
    let _ = match explanation.done.as_slice() {
        [] if loaded.policy.machine.depth().get() == 1 => Ok(()),
        [] => writeln!(text, "What it had done before is not known."),
        // The first of a frame; nothing was called in it yet.
        [.., handler] if handler.symbol.whole().starts_with('@') => {
            writeln!(
                text,
                "A handler of {} had just begun.",
                handler.symbol.to_string().trim_start_matches('@')
            )
        }
        several => {
            let steps: Vec<String> = several.iter().map(step).collect();
            writeln!(text, "It had last called {}.", steps.join(", then "))
        }
    };
    let _ = writeln!(
        text,
        "Then it tried {}{}.",
        step(&explanation.tried),
        arguments(&explanation.args)
    );
    ways_on(&mut text, loaded, explanation);
    elsewhere(&mut text, explanation);
    remedy(&mut text, loaded, explanation);
    text
}

/// The policy, the process, the time, the place, and what became of the call.
fn header(v: &Violation) -> String {
    let mut who = v.policy.to_string();
    if let Some(pid) = v.pid {
        let _ = write!(who, ", pid {pid}");
        if let Some(tid) = v.tid.filter(|&tid| tid != pid) {
            let _ = write!(who, ", tid {tid}");
        }
    }
    if let Some(comm) = &v.comm {
        let _ = write!(who, " ({comm})");
    }
    if let Some(time) = &v.time {
        let _ = write!(who, ", {time}");
    }
    if let Some(file) = &v.file {
        let line = v.line.map(|l| format!(":{l}")).unwrap_or_default();
        let would = match v.action {
            Action::Kill => "enforced, it would be killed",
            Action::Deny => "enforced, the call would be refused",
            Action::Log => "enforced, it would be reported",
        };
        return format!("{who}, in the log {file}{line}: {would}.");
    }
    let became = match v.action {
        Action::Kill if v.kill_failed == Some(true) => "the kernel refused to kill it",
        Action::Kill => "it was killed",
        Action::Deny => "the call was refused",
        Action::Log => "the call went on",
    };
    format!("{who}: {became}.")
}

/// `` `openat` (open a file) ``; a foreign call has no name that would mean something here.
fn step(step: &Step) -> String {
    match &step.words {
        Some(words) if matches!(step.symbol.whole(), "@i386" | "@x32") => format!("to {words}"),
        Some(words) => format!("`{}` ({words})", step.symbol),
        None => format!("`{}`", step.symbol),
    }
}

fn arguments(args: &[Arg]) -> String {
    let one = |arg: &Arg| {
        let mut text = arg.name.map(|name| format!("{name}=")).unwrap_or_default();
        let _ = write!(text, "{}", arg.value);
        if let Some(means) = &arg.means {
            let _ = write!(text, " {means}");
        }
        text
    };
    if args.is_empty() {
        return String::new();
    }
    format!(" with {}", args.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn ways_on(text: &mut String, loaded: &Loaded, explanation: &Explanation) {
    if matches!(explanation.remedy, Remedy::AnyContext)
        || explanation.done.is_empty() && explanation.lawful.is_empty()
    {
        return;
    }
    if explanation.lawful.is_empty() {
        text.push_str("The policy knows no way on from there.\n");
        return;
    }
    let ways = counted(explanation.lawful.len() as u64, "way");
    let runs = match (explanation.seen.runs, loaded.policy.runs) {
        (0, _) => String::new(),
        (seen, 0) => format!(" in {}", counted(seen, "run")),
        // Other runs may have gone the rarer ways.
        (seen, all) if seen < all => format!(" in at least {seen} of {}", counted(all, "run")),
        (seen, all) => format!(" in {seen} of {}", counted(all, "run")),
    };
    let _ = match explanation.seen.calls {
        0 => writeln!(text, "From there the policy knows {ways} on, without counts:"),
        calls => {
            writeln!(
                text,
                "From there the policy knows {ways} on, seen {}{runs}:",
                counted(calls, "time")
            )
        }
    };
    list(text, explanation.lawful.iter().map(|(symbol, count)| (format!("→ {symbol}"), *count)));
}

fn elsewhere(text: &mut String, explanation: &Explanation) {
    match (&explanation.remedy, explanation.elsewhere.len()) {
        (Remedy::Abi | Remedy::Sigreturn, _) => {}
        (_, 0) => {
            let _ = writeln!(
                text,
                "The policy has `{}` from no other context.",
                explanation.tried.symbol
            );
        }
        (_, contexts) => {
            let contexts = counted(contexts as u64, "context");
            let _ = writeln!(
                text,
                "The policy has `{}` elsewhere, from {contexts}:",
                explanation.tried.symbol
            );
            let symbol = &explanation.tried.symbol;
            list(
                text,
                explanation.elsewhere.iter().map(|(c, count)| (format!("{c} → {symbol}"), *count)),
            );
        }
    }
}

fn list(text: &mut String, entries: impl ExactSizeIterator<Item = (String, Count)>) {
    let more = entries.len().saturating_sub(LISTED);
    let shown: Vec<(String, Count)> = entries.take(LISTED).collect();
    let width = shown.iter().map(|(entry, _)| entry.chars().count()).max().unwrap_or(0);
    for (entry, count) in shown {
        let _ = if count == Count::default() {
            writeln!(text, "  {entry}")
        } else {
            let (calls, runs) = (counted(count.calls, "call"), counted(count.runs, "run"));
            writeln!(text, "  {entry:<width$}  {calls} in {runs}")
        };
    }
    if more > 0 {
        let _ = writeln!(text, "  … and {more} more (--json has all)");
    }
}

fn remedy(text: &mut String, loaded: &Loaded, explanation: &Explanation) {
    let file = shown(&loaded.file);
    let _ = match &explanation.remedy {
        Remedy::Transition { context, symbol, line, present, dead_end } => {
            let beside = if *present {
                format!("\"transitions\" of {file}, beside what \"{context}\" has already")
            } else {
                format!("\"transitions\" of {file}, which has no \"{context}\" yet")
            };
            let after = if *dead_end {
                format!("From `{symbol}` there the policy knows no way on: what follows it needs a line too.\n")
            } else {
                String::new()
            };
            writeln!(text, "To allow it, put into {beside}:\n  {line}\n{after}")
        }
        Remedy::Allowed => writeln!(
            text,
            "{file} allows it: it has been changed since, or another one was enforced. `enforce` reads policies at its start."
        ),
        Remedy::AnyContext => writeln!(
            text,
            "The past was not known, or only in part. Then the calls are allowed that follow in some context\n\
             of the policy which ends so. `{}` is not among them;\n\
             a log of what the program does lawfully has the context that it belongs to.",
            explanation.tried.symbol
        ),
        Remedy::Abi => writeln!(text, "No policy can allow it: such a call is always a violation."),
        Remedy::Sigreturn => writeln!(
            text,
            "No policy can allow it: no signal handler was active, from which it could have returned."
        ),
    };
}

/// The explanation, as an event.
pub(crate) fn event(violation: &Violation, loaded: &Loaded, explanation: &Explanation) -> Event {
    let step = |step: &Step| json!({"symbol": step.symbol, "words": step.words});
    let symbols = |context: &Context| -> Vec<String> {
        context.symbols().iter().map(ToString::to_string).collect()
    };
    let (allow, why_not) = match &explanation.remedy {
        Remedy::Transition { context, symbol, line, present, dead_end } => {
            let context: Vec<&str> = context.split_whitespace().collect();
            let allow = json!({"context": context, "symbol": symbol, "line": line,
                "present": present, "dead_end": dead_end});
            (allow, None)
        }
        Remedy::Allowed => (Value::Null, Some("allowed")),
        Remedy::AnyContext => (Value::Null, Some("unknown_context")),
        Remedy::Abi => (Value::Null, Some("abi")),
        Remedy::Sigreturn => (Value::Null, Some("sigreturn")),
    };
    let lawful: Vec<Value> = explanation
        .lawful
        .iter()
        .map(|(symbol, c)| json!({"symbol": symbol.to_string(), "calls": c.calls, "runs": c.runs}))
        .collect();
    let elsewhere: Vec<Value> = explanation
        .elsewhere
        .iter()
        .map(|(context, c)| json!({"context": symbols(context), "calls": c.calls, "runs": c.runs}))
        .collect();
    let args: Vec<Value> =
        explanation.args.iter().filter_map(|arg| serde_json::to_value(arg).ok()).collect();
    let Count { calls, runs } = explanation.seen;
    Event::new(Kind::Explanation)
        .about(&violation.selector())
        .with("policy_file", UntrustedText::from(loaded.file.as_os_str()))
        .with("reason", violation.reason.as_str())
        .with("context", violation.context.clone())
        .with("done", explanation.done.iter().map(step).collect::<Vec<_>>())
        .with("tried", step(&explanation.tried))
        .with("args", args)
        .with("seen", json!({"calls": calls, "runs": runs}))
        .with("runs", loaded.policy.runs)
        .with("lawful", lawful)
        .with("elsewhere", elsewhere)
        .with("allow", allow)
        .with("why_not", why_not)
}
