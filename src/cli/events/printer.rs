//! What `enforce` prints: events, for people, as JSON, or into the journal.

use crate::cli::events::journal::{self, Entry, Journal, Kind, Priority};
use crate::cli::events::sink::Sink;
use crate::cli::events::totals::{say_totals, totals_json, totals_sentence, warn_of_totals};
use crate::cli::events::violation::Violation;
use crate::cli::io::failure::Failure;
use crate::cli::io::report::{self, counted};
use crate::cli::io::time::stamp;
use crate::cli::policies::warnings;
use crate::kernel::{self, Level, Origin, Repeated, Totals};
use crate::policy::Policy;
use serde_json::json;
use std::io;
use std::time::SystemTime;

/// Where events go besides the file of `--events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Log {
    /// To the journal if stdout or stderr leads there and nothing else is asked for; or else
    /// printed
    #[default]
    Auto,
    /// To the journal, a field for each thing that they tell
    Journald,
    /// Printed, a line each
    Plain,
}

/// Prints what happens while policies are enforced: to stdout or the journal, and to the file of
/// `--events`.
pub(crate) struct Printer {
    json: bool,
    /// Takes what is for people, as long as it does.
    journal: Option<Journal>,
    /// What is enforced.
    sentence: String,
    out: Sink,
    file: Option<Sink>,
}

/// What is enforced, as it begins.
pub(crate) struct Start {
    pub level: Level,
    pub hooks: usize,
    pub functions: usize,
    pub left_out: Vec<String>,
    pub log_only: bool,
    pub adopted: u64,
    /// It outlives this process, and this is how it came to be.
    pub pinned: Option<Origin>,
}

impl Printer {
    pub(crate) fn new(json: bool, log: Log, file: Option<Sink>) -> Self {
        let wanted = match log {
            Log::Auto => {
                !json && (journal::receives(io::stdout()) || journal::receives(io::stderr()))
            }
            Log::Journald => true,
            Log::Plain => false,
        };
        let open = || Journal::open().map_err(|e| report::warn(&format!("no journal: {e}"), ""));
        let journal = wanted.then(open).and_then(Result::ok);
        Printer { json, journal, sentence: String::new(), out: Sink::stdout(), file }
    }

    /// Whether the journal took an event. What it takes is not printed as well.
    fn journal_takes(&mut self, entry: &Entry) -> bool {
        self.journal.as_mut().is_some_and(|journal| journal.takes(entry))
    }

    /// These policies are enforced from now on.
    pub(crate) fn start(&mut self, policies: &[Policy], start: &Start) {
        self.begin("start", policies, start);
    }

    /// These policies are enforced from now on, instead of others or again.
    pub(crate) fn reloaded(&mut self, policies: &[Policy], start: &Start) {
        self.begin("reload", policies, start);
    }

    fn begin(&mut self, kind: &str, policies: &[Policy], start: &Start) {
        let transitions: usize = policies.iter().map(|p| p.machine.transitions()).sum();
        let Start { left_out, .. } = start;
        let &Start { level, hooks, functions, log_only, adopted, pinned, .. } = start;
        let what = match (log_only, level) {
            (true, _) => "watching (log only)".into(),
            (false, Level::Kill) => format!("enforcing at level {level}"),
            (false, Level::Contain) => format!("enforcing at level {level} ({hooks} hooks)"),
            (false, Level::Prevent) => {
                format!("enforcing at level {level} ({hooks} hooks, {functions} functions)")
            }
        };
        self.sentence = format!(
            "{what}: {}, {}; {} adopted",
            counted(policies.len() as u64, "policy"),
            counted(transitions as u64, "transition"),
            counted(adopted, "running thread"),
        );
        if self.structured() {
            let mut event = json!({
                "event": kind,
                "time": stamp(SystemTime::now()),
                "version": env!("CARGO_PKG_VERSION"),
                "level": level.as_str(),
                "hooks": hooks,
                "functions": functions,
                "left_out": left_out,
                "log_only": log_only,
                "policies": policies.len(),
                "transitions": transitions,
                "adopted": adopted,
            });
            if let (Some(origin), Some(event)) = (pinned, event.as_object_mut()) {
                let key = if kind == "reload" { "outcome" } else { "pinned" };
                event.insert(key.into(), json!(origin_word(origin)));
            }
            self.event(&event.to_string());
        }
        let how = pinned.map(|origin| format!("{}: `sysfsm stop` ends it", origin_word(origin)));
        let message =
            [Some(&self.sentence), how.as_ref()].into_iter().flatten().cloned().collect::<Vec<_>>();
        let kind = if kind == "reload" { Kind::RELOAD } else { Kind::START };
        let mut entry = Entry::new(kind, &message.join("; "));
        entry
            .with("SYSFSM_VERSION", env!("CARGO_PKG_VERSION"))
            .with("SYSFSM_LEVEL", level)
            .with("SYSFSM_LOG_ONLY", u8::from(log_only))
            .with("SYSFSM_POLICIES", policies.len());
        if let Some(origin) = pinned {
            entry.with("SYSFSM_OUTCOME", origin_word(origin));
        }
        if !self.journal_takes(&entry) && !self.json {
            eprintln!("{}", message.join("\n"));
        }
        self.flush();
        policies.iter().for_each(warnings::warn_of);
    }

    /// What is enforced, in a sentence.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// A reload was asked for and refused: the failure says how things are.
    pub(crate) fn refused(&mut self, failure: &Failure) {
        if self.structured() {
            let event = json!({
                "event": "reload",
                "time": stamp(SystemTime::now()),
                "outcome": "refused",
                "error": failure.what(),
                "left": failure.left(),
            });
            self.event(&event.to_string());
        }
        let message = failure.to_string();
        let mut entry = Entry::new(Kind::REFUSED, &message);
        entry.with("SYSFSM_OUTCOME", "refused").with("SYSFSM_ERROR", failure.what());
        if !self.journal_takes(&entry) && !self.json {
            eprintln!("{message}");
        }
        self.flush();
    }

    /// This process ends, and enforcement goes on.
    pub(crate) fn leave(&mut self) {
        if self.structured() {
            let event = json!({"event": "leave", "time": stamp(SystemTime::now())});
            self.event(&event.to_string());
        }
        let message = "enforcement goes on: `sysfsm status` tells of it, `sysfsm stop` ends it";
        if !self.journal_takes(&Entry::new(Kind::LEAVE, message)) && !self.json {
            eprintln!("{message}");
        }
        self.flush();
    }

    pub(crate) fn violation(&mut self, found: &kernel::Violation) {
        let policy = &found.kind.policy;
        let mut violation = Violation::of(&found.kind);
        violation.time = Some(stamp(found.time));
        violation.pid = Some(found.pid);
        violation.tid = Some(found.tid);
        violation.comm = Some(&found.comm);
        violation.args = Some(found.args.iter().map(|a| format!("{a:#x}")).collect());
        violation.ip = Some(format!("{:#x}", found.ip));
        violation.kill_failed = found.kill_failed;
        let mut id = String::new();
        if self.structured() || self.journal.is_some() {
            // Otherwise nobody could look it up.
            id = violation.identify().to_string();
        }
        if self.structured() {
            self.event(&violation.to_json());
        }
        let done = if found.kill_failed {
            "NOT KILLED: the kernel refused"
        } else {
            done_word(violation.action)
        };
        if self.json && self.journal.is_none() {
            return;
        }
        let line = format!(
            "{} pid {} tid {} ({}): {}: {done}",
            policy.name(),
            found.pid,
            found.tid,
            found.comm,
            violation.sentence(),
        );
        if self.journal.is_some() {
            let kind = Kind::VIOLATION;
            let kind = if found.kill_failed { kind.at(Priority::Critical) } else { kind };
            let mut entry = entry_of(kind, &violation, &line);
            entry.with("SYSFSM_KILL_FAILED", u8::from(found.kill_failed)).with("SYSFSM_ID", &id);
            if self.journal_takes(&entry) {
                return;
            }
        }
        if self.json {
            return;
        }
        let id = if self.file.is_some() { format!(" [{id}]") } else { String::new() };
        self.out.line(&format!("{} {line}{id}", stamp(found.time)));
    }

    /// Violations that were not told one by one.
    pub(crate) fn repeated(&mut self, found: &Repeated) {
        let mut repeated = Violation::of(&found.kind);
        repeated.event = "repeated";
        repeated.time = Some(stamp(SystemTime::now()));
        repeated.count = Some(found.count);
        if self.structured() {
            self.event(&repeated.to_json());
        }
        let line = format!(
            "{}: {} more: {}: {}",
            found.kind.policy.name(),
            counted(found.count, "violation"),
            repeated.sentence(),
            done_word(repeated.action),
        );
        let mut entry = entry_of(Kind::REPEATED, &repeated, &line);
        entry.with("SYSFSM_COUNT", found.count);
        if !self.journal_takes(&entry) && !self.json {
            self.out.line(&format!("{} {line}", stamp(SystemTime::now())));
        }
    }

    /// Enforcement has ended.
    pub(crate) fn stop(&mut self, totals: &Totals) {
        if self.structured() {
            let mut event = json!({"event": "stop", "time": stamp(SystemTime::now())});
            if let Some(event) = event.as_object_mut() {
                event.extend(totals_json(totals));
            }
            self.event(&event.to_string());
        }
        let mut entry = Entry::new(Kind::STOP, &totals_sentence(totals));
        entry.with("SYSFSM_JUDGED", totals.judged).with("SYSFSM_VIOLATIONS", totals.violations);
        if self.journal_takes(&entry) {
            warn_of_totals(totals);
        } else if !self.json {
            say_totals(totals);
        }
        self.flush();
    }

    /// Whether anybody reads events as JSON.
    fn structured(&self) -> bool {
        self.json || self.file.is_some()
    }

    /// An event as JSON, to whoever reads it so.
    fn event(&mut self, event: &str) {
        if self.json {
            self.out.line(event);
        }
        if let Some(file) = &mut self.file {
            file.line(event);
        }
    }

    pub(crate) fn flush(&mut self) {
        self.out.flush();
        self.file.iter_mut().for_each(Sink::flush);
    }
}

/// What was done, by the action.
fn done_word(action: &str) -> &'static str {
    match action {
        "kill" => "killed",
        "deny" => "denied",
        _ => "logged",
    }
}

/// How what is pinned came to be, for people and as JSON.
fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Loaded => "pinned",
        Origin::TakenOver => "taken over",
        Origin::Changed => "changed",
        Origin::Replaced => "replaced",
    }
}

/// A violation for the journal.
fn entry_of(kind: Kind, violation: &Violation<'_>, line: &str) -> Entry {
    let mut entry = Entry::new(kind, line);
    entry
        .with("SYSFSM_POLICY", violation.policy)
        .with("SYSFSM_REASON", violation.reason)
        .with("SYSFSM_ACTION", violation.action)
        .with("SYSFSM_CONTEXT", violation.context.join(" "))
        .with("SYSFSM_SYMBOL", violation.symbol);
    for (name, number) in [
        ("SYSFSM_PID", violation.pid),
        ("SYSFSM_TID", violation.tid),
        ("SYSFSM_NUMBER", violation.number),
    ] {
        if let Some(number) = number {
            entry.with(name, number);
        }
    }
    for (name, text) in [
        ("SYSFSM_CGROUP", violation.cgroup),
        ("SYSFSM_COMM", violation.comm),
        ("SYSFSM_TIME", violation.time.as_deref()),
        ("SYSFSM_IP", violation.ip.as_deref()),
    ] {
        if let Some(text) = text {
            entry.with(name, text);
        }
    }
    entry
}
