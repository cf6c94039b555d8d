//! What `enforce` prints: events, for people or as JSON.

use super::report::{self, counted};
use super::sink::Sink;
use super::time::stamp;
use super::violation::Violation;
use super::Failure;
use crate::kernel::{self, Level, Origin, Repeated, Totals};
use crate::policy::Policy;
use serde_json::{json, Map, Value};
use std::time::SystemTime;

/// Prints what happens while policies are enforced: to stdout, and to the file of `--events`.
pub(super) struct Printer {
    json: bool,
    /// What is enforced.
    sentence: String,
    out: Sink,
    file: Option<Sink>,
}

/// What is enforced, as it begins.
pub(super) struct Start {
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
    pub(super) fn new(json: bool, file: Option<Sink>) -> Self {
        Printer { json, sentence: String::new(), out: Sink::stdout(), file }
    }

    /// These policies are enforced from now on.
    pub(super) fn start(&mut self, policies: &[Policy], start: &Start) {
        self.begin("start", policies, start);
    }

    /// These policies are enforced from now on, instead of others or again.
    pub(super) fn reloaded(&mut self, policies: &[Policy], start: &Start) {
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
        if !self.json {
            eprintln!("{}", self.sentence);
            if let Some(origin) = pinned {
                eprintln!("{}: `sysfsm stop` ends it", origin_word(origin));
            }
        }
        self.flush();
        policies.iter().for_each(super::show::warn_of);
    }

    /// What is enforced, in a sentence.
    pub(super) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// A reload was asked for and refused: what was enforced still is.
    pub(super) fn refused(&mut self, failure: &Failure) {
        if self.structured() {
            let event = json!({
                "event": "reload",
                "time": stamp(SystemTime::now()),
                "outcome": "refused",
                "error": failure.what(),
            });
            self.event(&event.to_string());
        }
        if !self.json {
            eprintln!("{failure}\nnot reloaded: what was enforced still is");
        }
        self.flush();
    }

    /// This process ends, and enforcement goes on.
    pub(super) fn leave(&mut self) {
        if self.structured() {
            let event = json!({"event": "leave", "time": stamp(SystemTime::now())});
            self.event(&event.to_string());
        }
        if !self.json {
            eprintln!("enforcement goes on: `sysfsm status` tells of it, `sysfsm stop` ends it");
        }
        self.flush();
    }

    pub(super) fn violation(&mut self, found: &kernel::Violation) {
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
        if self.structured() {
            // Without a file of events nobody could look it up.
            id = format!(" [{}]", violation.identify());
            self.event(&violation.to_json());
        }
        if self.json {
            return;
        }
        let done =
            if found.kill_failed { "NOT KILLED: the kernel refused" } else { done_word(violation.action) };
        self.out.line(&format!(
            "{} {} pid {} tid {} ({}): {}: {done}{id}",
            stamp(found.time),
            policy.name(),
            found.pid,
            found.tid,
            found.comm,
            violation.sentence(),
        ));
    }

    /// Violations that were not told one by one.
    pub(super) fn repeated(&mut self, found: &Repeated) {
        let mut repeated = Violation::of(&found.kind);
        repeated.event = "repeated";
        repeated.time = Some(stamp(SystemTime::now()));
        repeated.count = Some(found.count);
        if self.structured() {
            self.event(&repeated.to_json());
        }
        if !self.json {
            self.out.line(&format!(
                "{} {}: {} more: {}: {}",
                stamp(SystemTime::now()),
                found.kind.policy.name(),
                counted(found.count, "violation"),
                repeated.sentence(),
                done_word(repeated.action),
            ));
        }
    }

    /// Enforcement has ended.
    pub(super) fn stop(&mut self, totals: &Totals) {
        if self.structured() {
            let mut event = json!({"event": "stop", "time": stamp(SystemTime::now())});
            if let Some(event) = event.as_object_mut() {
                event.extend(totals_json(totals));
            }
            self.event(&event.to_string());
        }
        if !self.json {
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

    pub(super) fn flush(&mut self) {
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

/// Totals as the keys of a JSON object.
pub(super) fn totals_json(totals: &Totals) -> Map<String, Value> {
    Map::from_iter([
        ("judged".into(), json!(totals.judged)),
        ("violations".into(), json!(totals.violations)),
        ("kills".into(), json!(totals.kills)),
        ("kills_failed".into(), json!(totals.kills_failed)),
        ("denials".into(), json!(totals.denials)),
        ("caught_up".into(), json!(totals.caught_up)),
        ("vetoes".into(), json!(totals.vetoes)),
        ("protections".into(), json!(totals.protections)),
        ("events_lost".into(), json!(totals.events_lost)),
        ("frames_dropped".into(), json!(totals.frames_dropped)),
        ("spares".into(), json!(totals.spares)),
        ("threads_refused".into(), json!(totals.threads_refused)),
        ("missed".into(), json!(totals.missed)),
        ("adopted".into(), json!(totals.adopted)),
        ("untallied".into(), json!(totals.untallied)),
    ])
}

/// Totals as a sentence, to stderr, and what of them is to be warned of.
pub(super) fn say_totals(totals: &Totals) {
    let denials = match totals.denials {
        0 => String::new(),
        some => format!("{}, ", counted(some, "denial")),
    };
    eprintln!(
        "judged {}: {}, {}, {denials}{} lost",
        counted(totals.judged, "call"),
        counted(totals.violations, "violation"),
        counted(totals.kills, "kill"),
        counted(totals.events_lost, "event"),
    );
    for (count, what) in [
        (totals.kills_failed, "kill that the kernel refused"),
        (totals.protections, "attempt of a watched program on the enforcer or its BPF objects, refused"),
        (
            totals.threads_refused,
            "thread whose state found no room (its process was killed, or, only logging, went on unwatched)",
        ),
        (totals.frames_dropped, "signal frame dropped past the limit"),
        (
            totals.missed,
            "event of some process that the kernel did not show (two tasks at once in one program)",
        ),
    ] {
        if count > 0 {
            report::warn(&format!("{count} × {what}"), "");
        }
    }
}
