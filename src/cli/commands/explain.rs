//! `sysfsm explain`: a violation in plain words.

use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report::counted;
use crate::cli::policies::warnings;
use crate::explain::{explain, Arg, Explanation, NoViolation, Remedy, Step, Violation};
use crate::machine::Count;
use crate::policy::{self, Loaded};
use serde_json::{json, Value};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `explain` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sysfsm check --json --policy p.json trace | sysfsm explain --policy p.json\n  \
    sysfsm explain 5e0d6cc1f6ab --events events.jsonl --policy p.json")]
pub(crate) struct Args {
    /// A violation, as `enforce --json` and `check --json` print it; a file of such lines; or `-`.
    /// With --events the id of one
    #[arg(value_name = "VIOLATION|FILE|ID", default_value = "-")]
    violation: String,
    /// Where the violation with that id is: what `enforce --events` has written, or such lines
    /// (`-`: stdin)
    #[arg(long, value_name = "FILE", requires = "violation")]
    events: Option<String>,
    /// The policy that it is a violation of, or a directory of policies; may be given several times
    #[arg(short, long = "policy", value_name = "FILE|DIR", required = true)]
    policies: Vec<PathBuf>,
    /// Print explanations as JSON, one a line
    #[arg(long)]
    json: bool,
}

/// So many transitions of a list are told; --json tells all.
const LISTED: usize = 10;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (from, id) = match &args.events {
        Some(events) => (events, Some(args.violation.as_str())),
        None => (&args.violation, None),
    };
    if from == "-" && args.policies.iter().any(|p| p == Path::new("-")) {
        return Err(Failure::new(
            "both the violations and the policy are `-`",
            "give one of them as a file",
        ));
    }
    let loaded = policy::load(&args.policies)?;
    if !args.json {
        for loaded in &loaded {
            warnings::warn_of(&loaded.policy);
        }
    }
    let (name, lines) = open(from)?;
    let mut explained = 0_u64;
    for (index, line) in lines.lines().enumerate() {
        let place = if name == ARGUMENT { name.clone() } else { format!("{name}:{}", index + 1) };
        let line = line.map_err(|e| unreadable(&name, &e))?;
        if line.trim().is_empty() {
            continue;
        }
        let violation = match Violation::parse(&line) {
            Ok(violation) => violation,
            // enforce prints them before and after its violations.
            Err(NoViolation::Other(event))
                if name != ARGUMENT && (event == "start" || event == "stop") =>
            {
                continue
            }
            Err(e) => return Err(no_violation(&place, &e)),
        };
        if id.is_some() && violation.id.as_deref() != id {
            continue;
        }
        let of = policy_of(&loaded, &violation, &place)?;
        let explanation = explain(&violation, &of.policy).map_err(|e| {
            Failure::new(
                format!("{place}: `{}` cannot have judged this: {e}", of.file.display()),
                "give the policy that was enforced, as it was then",
            )
        })?;
        if args.json {
            output::line(&to_json(&violation, of, &explanation).to_string())?;
        } else {
            let gap = if explained > 0 { "\n" } else { "" };
            output::line(&format!("{gap}{}", text(&violation, of, &explanation).trim_end()))?;
        }
        explained += 1;
    }
    match id {
        _ if explained > 0 => {}
        Some(id) => {
            return Err(Failure::new(
                format!("no violation with the id `{id}` in `{name}`"),
                "give the file that `enforce --events FILE` wrote then",
            ))
        }
        None => {
            return Err(Failure::new(
                format!("no violation in `{name}`"),
                "give what `enforce --json` or `check --json` printed",
            ))
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How a violation on the command line is called in messages.
const ARGUMENT: &str = "the argument";

/// The lines, and their name. No file's name that one would give begins with a brace.
fn open(from: &str) -> Result<(String, Box<dyn BufRead>), Failure> {
    if from.trim_start().starts_with('{') {
        return Ok((ARGUMENT.into(), Box::new(Cursor::new(from.as_bytes().to_vec()))));
    }
    if from == "-" {
        return Ok(("-".into(), Box::new(BufReader::new(io::stdin()))));
    }
    let file = File::open(from).map_err(|e| unreadable(from, &e))?;
    Ok((from.into(), Box::new(BufReader::new(file))))
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(
        format!("cannot read violations from `{name}`: {error}"),
        "give a JSON line in quotes, a file of such lines, or `-` for stdin",
    )
}

fn no_violation(place: &str, error: &NoViolation) -> Failure {
    Failure::new(
        format!("{place}: {error}"),
        match error {
            NoViolation::Json(_) => {
                "was --json given to `enforce` or `check`? a line for people cannot be read back"
            }
            _ => "give a line with \"event\":\"violation\", whole",
        },
    )
}

fn policy_of<'a>(
    loaded: &'a [Loaded],
    violation: &Violation,
    place: &str,
) -> Result<&'a Loaded, Failure> {
    let subject = violation.subject();
    let judged = |l: &&Loaded| l.policy.subject() == subject;
    let may_have = |l: &&Loaded| subject.cgroup.is_none() && l.policy.binary == subject.binary;
    loaded.iter().find(judged).or_else(|| loaded.iter().find(may_have)).ok_or_else(|| {
        let given: Vec<String> =
            loaded.iter().take(8).map(|l| format!("`{}`", l.policy.name())).collect();
        Failure::new(
            format!(
                "{place}: a violation of the policy for `{subject}`; given are those for {}",
                given.join(", ")
            ),
            "give the policy that was enforced with --policy",
        )
    })
}

fn text(violation: &Violation, of: &Loaded, told: &Explanation) -> String {
    let mut text = format!("{}\n", header(violation));
    let _ = match told.done.as_slice() {
        [] if of.policy.machine.depth().get() == 1 => Ok(()),
        [] => writeln!(text, "What it had done before is not known."),
        // The first of a frame; nothing was called in it yet.
        [.., handler] if handler.symbol.starts_with('@') => {
            writeln!(
                text,
                "A handler of {} had just begun.",
                handler.symbol.trim_start_matches('@')
            )
        }
        several => {
            let steps: Vec<String> = several.iter().map(step).collect();
            writeln!(text, "It had last called {}.", steps.join(", then "))
        }
    };
    let _ = writeln!(text, "Then it tried {}{}.", step(&told.tried), arguments(&told.args));
    ways_on(&mut text, of, told);
    elsewhere(&mut text, told);
    remedy(&mut text, of, told);
    text
}

/// Whose, when, where, and what became of it.
fn header(v: &Violation) -> String {
    let mut who = v.policy.clone();
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
        let would = match v.action.as_str() {
            "kill" => "enforced, it would be killed",
            "deny" => "enforced, the call would be refused",
            _ => "enforced, it would be reported",
        };
        return format!("{who}, in the log {file}{line}: {would}.");
    }
    let became = match v.action.as_str() {
        "kill" if v.kill_failed => "the kernel refused to kill it",
        "kill" => "it was killed",
        "deny" => "the call was refused",
        _ => "the call went on",
    };
    format!("{who}: {became}.")
}

/// `` `openat` (open a file) ``; a foreign call has no name that would mean something here.
fn step(step: &Step) -> String {
    match &step.words {
        Some(words) if matches!(step.symbol.as_str(), "@i386" | "@x32") => format!("to {words}"),
        Some(words) => format!("`{}` ({words})", step.symbol),
        None => format!("`{}`", step.symbol),
    }
}

fn arguments(args: &[Arg]) -> String {
    let one = |arg: &Arg| {
        let mut text = arg.name.map(|name| format!("{name}=")).unwrap_or_default() + &arg.value;
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

fn ways_on(text: &mut String, of: &Loaded, told: &Explanation) {
    if matches!(told.remedy, Remedy::AnyContext) || told.done.is_empty() && told.lawful.is_empty() {
        return;
    }
    if told.lawful.is_empty() {
        text.push_str("The policy knows no way on from there.\n");
        return;
    }
    let ways = counted(told.lawful.len() as u64, "way");
    let runs = match (told.seen.runs, of.policy.runs) {
        (0, _) => String::new(),
        (seen, 0) => format!(" in {}", counted(seen, "run")),
        // Other runs may have gone the rarer ways.
        (seen, all) if seen < all => format!(" in at least {seen} of {}", counted(all, "run")),
        (seen, all) => format!(" in {seen} of {}", counted(all, "run")),
    };
    let _ = match told.seen.calls {
        0 => writeln!(text, "From there the policy knows {ways} on, without counts:"),
        calls => {
            writeln!(
                text,
                "From there the policy knows {ways} on, seen {}{runs}:",
                counted(calls, "time")
            )
        }
    };
    list(text, told.lawful.iter().map(|(symbol, count)| (format!("→ {symbol}"), *count)));
}

fn elsewhere(text: &mut String, told: &Explanation) {
    match (&told.remedy, told.elsewhere.len()) {
        (Remedy::Abi | Remedy::Sigreturn, _) => {}
        (_, 0) => {
            let _ = writeln!(text, "The policy has `{}` from no other context.", told.tried.symbol);
        }
        (_, contexts) => {
            let contexts = counted(contexts as u64, "context");
            let _ = writeln!(
                text,
                "The policy has `{}` elsewhere, from {contexts}:",
                told.tried.symbol
            );
            let symbol = &told.tried.symbol;
            list(text, told.elsewhere.iter().map(|(c, count)| (format!("{c} → {symbol}"), *count)));
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
        let _ = writeln!(text, "  … and {more} more (--json tells all)");
    }
}

fn remedy(text: &mut String, of: &Loaded, told: &Explanation) {
    let file = of.file.display();
    let _ = match &told.remedy {
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
            "From an unknown past every call that the policy has anywhere is allowed. `{}` is not among them;\n\
             a log of what the program does lawfully tells the context that it belongs to.",
            told.tried.symbol
        ),
        Remedy::Abi => writeln!(text, "No policy can allow it: such a call is always a violation."),
        Remedy::Sigreturn => writeln!(
            text,
            "No policy can allow it: no signal handler was active, from which it could have returned."
        ),
    };
}

fn to_json(violation: &Violation, of: &Loaded, told: &Explanation) -> Value {
    let step = |step: &Step| json!({"symbol": step.symbol, "words": step.words});
    let (allow, why_not) = match &told.remedy {
        Remedy::Transition { context, symbol, line, present, dead_end } => (
            json!({"context": context, "symbol": symbol, "line": line, "present": present, "dead_end": dead_end}),
            None,
        ),
        Remedy::Allowed => (Value::Null, Some("allowed")),
        Remedy::AnyContext => (Value::Null, Some("unknown_context")),
        Remedy::Abi => (Value::Null, Some("abi")),
        Remedy::Sigreturn => (Value::Null, Some("sigreturn")),
    };
    let lawful: Vec<Value> = told
        .lawful
        .iter()
        .map(|(symbol, c)| json!({"symbol": symbol.to_string(), "calls": c.calls, "runs": c.runs}))
        .collect();
    let elsewhere: Vec<Value> = told
        .elsewhere
        .iter()
        .map(|(context, c)| json!({"context": context.to_string(), "calls": c.calls, "runs": c.runs}))
        .collect();
    json!({
        "event": "explanation",
        "policy": violation.policy,
        "file": of.file.display().to_string(),
        "reason": violation.reason,
        "context": told.done.iter().map(step).collect::<Vec<_>>(),
        "tried": step(&told.tried),
        "args": told.args,
        "seen": {"calls": told.seen.calls, "runs": told.seen.runs},
        "runs": of.policy.runs,
        "lawful": lawful,
        "elsewhere": elsewhere,
        "allow": allow,
        "why_not": why_not,
    })
}
