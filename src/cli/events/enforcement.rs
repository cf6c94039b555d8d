//! What an agent says of itself: it begins, reads its policies again, leaves, ends.

use crate::cli::events::event::{Event, Kind};
use crate::cli::events::totals::{totals_json, totals_sentence};
use crate::cli::format::count::counted;
use crate::kernel::{uncovered_names, Level, Mechanism, Origin, Totals};
use crate::policy::Policy;

/// What is enforced, as it begins.
pub(crate) struct Start {
    pub level: Level,
    /// How many LSM hooks refuse calls.
    pub hooks: usize,
    /// How many functions of system calls refuse them.
    pub functions: usize,
    /// Enforcement points that this kernel lacks.
    pub unsupported: Vec<String>,
    /// Violations are only reported.
    pub log_only: bool,
    /// How many running threads were adopted.
    pub adopted: u64,
    /// How enforcement came to be, if it outlives this process.
    pub origin: Option<Origin>,
}

impl Start {
    /// What is enforced, in a sentence.
    pub(crate) fn sentence(&self, policies: &[Policy]) -> String {
        let Start { level, hooks, functions, .. } = self;
        let what = match (self.log_only, level) {
            (true, _) => "watching (log only)".into(),
            (false, Level::Kill) => format!("enforcing at level {level}"),
            (false, Level::Contain) => format!("enforcing at level {level} ({hooks} hooks)"),
            (false, Level::Prevent) => {
                format!("enforcing at level {level} ({hooks} hooks, {functions} functions)")
            }
        };
        format!(
            "{what}: {}, {}; {} adopted",
            counted(policies.len() as u64, "policy"),
            counted(transitions(policies) as u64, "transition"),
            counted(self.adopted, "running thread"),
        )
    }

    /// The event: `kind` is [`Kind::Start`] or [`Kind::Reload`].
    pub(crate) fn event(&self, kind: Kind, policies: &[Policy]) -> Event {
        let mut event = Event::new(kind)
            .now()
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("level", self.level.as_str())
            .with("hooks", self.hooks)
            .with("functions", self.functions)
            .with("unsupported", self.unsupported.clone())
            .with("uncovered", uncovered_names(self.level))
            .with("log_only", self.log_only)
            .with("policy_count", policies.len())
            .with("transitions", transitions(policies))
            .with("adopted", self.adopted)
            .saying(self.sentence(policies));
        if let Some(origin) = self.origin {
            let outcome = outcome(origin);
            event =
                event.with("outcome", outcome).saying(format!("{outcome}: `sysfsm stop` ends it"));
        }
        event
    }
}

fn transitions(policies: &[Policy]) -> usize {
    policies.iter().map(|p| p.machine.transitions()).sum()
}

/// How what is pinned came to be.
fn outcome(origin: Origin) -> &'static str {
    match origin {
        Origin::Loaded => "pinned",
        Origin::TakenOver => "taken over",
        Origin::Changed => "changed",
        Origin::Replaced => "replaced",
    }
}

/// These mechanisms do not refuse calls any more.
pub(crate) fn alarm_raised(failing: &[Mechanism]) -> Event {
    Event::new(Kind::AlarmRaised)
        .now()
        .with("outcome", "raised")
        .with("failing", words(failing))
        .saying(not_refused(failing))
}

/// All mechanisms refuse calls again.
pub(crate) fn alarm_cleared() -> Event {
    Event::new(Kind::AlarmCleared)
        .now()
        .with("outcome", "cleared")
        .with("failing", Vec::<&str>::new())
        .saying("the alarm is over: calls are refused again")
}

/// The words of some mechanisms.
pub(crate) fn words(mechanisms: &[Mechanism]) -> Vec<&'static str> {
    mechanisms.iter().map(|mechanism| mechanism.as_str()).collect()
}

/// That these mechanisms do not work any more, in a sentence.
pub(crate) fn not_refused(failing: &[Mechanism]) -> String {
    format!(
        "ALARM: calls are not refused any more ({}): denials are not carried out, and kills are \
         those of level kill (hint: is /proc/sys/kernel/ftrace_enabled 0? who has changed it?)",
        words(failing).join(", ")
    )
}

/// The agent ends, and enforcement goes on.
pub(crate) fn leave() -> Event {
    Event::new(Kind::Leave)
        .now()
        .saying("enforcement goes on: `sysfsm status` shows it, `sysfsm stop` ends it")
}

/// Enforcement has ended.
pub(crate) fn stop(totals: &Totals) -> Event {
    Event::new(Kind::Stop).now().with("totals", totals_json(totals)).saying(totals_sentence(totals))
}
