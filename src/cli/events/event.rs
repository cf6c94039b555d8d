//! One event: what a subcommand says to a program and to people.

use crate::policy::PolicySelector;
use crate::text::said;
use serde_json::Value;

/// What an event is about. A kind has one shape, whichever subcommand prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Policies are enforced from now on.
    #[cfg(feature = "kernel")]
    Start,
    /// Policies were read again, and are enforced.
    #[cfg(feature = "kernel")]
    Reload,
    /// Policies were read again, and are not enforced.
    #[cfg(feature = "kernel")]
    ReloadRefused,
    /// The agent ends, and enforcement goes on.
    #[cfg(feature = "kernel")]
    Leave,
    /// Enforcement has ended.
    #[cfg(feature = "kernel")]
    Stop,
    /// Vetoes do not refuse calls any more.
    #[cfg(feature = "kernel")]
    AlarmRaised,
    /// Vetoes refuse calls again.
    #[cfg(feature = "kernel")]
    AlarmCleared,
    /// A call that its policy does not allow.
    Violation,
    /// How many violations of one kind were counted, and not reported one by one.
    #[cfg(feature = "kernel")]
    Repeated,
    /// A recording begins.
    #[cfg(feature = "kernel")]
    RecordStart,
    /// A recording has ended.
    #[cfg(feature = "kernel")]
    RecordStop,
    /// What is enforced.
    #[cfg(feature = "kernel")]
    Status,
    /// A sample of what is enforced.
    #[cfg(feature = "kernel")]
    Top,
    /// Something that a kernel has or lacks.
    #[cfg(feature = "kernel")]
    Capability,
    /// The level that enforcement reaches on a kernel.
    #[cfg(feature = "kernel")]
    Level,
    /// A violation in plain words.
    Explanation,
    /// One difference between two policies.
    Difference,
    /// A violation in a review log, with its state.
    Question,
    /// What was decided about a violation in a review log.
    Decision,
    /// How complete a policy is.
    Coverage,
    /// The report of `extract`.
    Extract,
    /// The report of `check`.
    Check,
    /// The report of `merge`.
    Merge,
    /// The report of `diff`.
    Diff,
    /// The report of `export`.
    Export,
    /// The report of `review`, for one policy.
    Review,
    /// Something that its reader should know.
    Warning,
    /// Why a subcommand ends with exit status 2.
    Error,
}

impl Kind {
    /// The value of `event` in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            #[cfg(feature = "kernel")]
            Kind::Start => "start",
            #[cfg(feature = "kernel")]
            Kind::Reload | Kind::ReloadRefused => "reload",
            #[cfg(feature = "kernel")]
            Kind::Leave => "leave",
            #[cfg(feature = "kernel")]
            Kind::Stop => "stop",
            #[cfg(feature = "kernel")]
            Kind::AlarmRaised | Kind::AlarmCleared => "alarm",
            Kind::Violation => "violation",
            #[cfg(feature = "kernel")]
            Kind::Repeated => "repeated",
            #[cfg(feature = "kernel")]
            Kind::RecordStart => "record_start",
            #[cfg(feature = "kernel")]
            Kind::RecordStop => "record_stop",
            #[cfg(feature = "kernel")]
            Kind::Status => "status",
            #[cfg(feature = "kernel")]
            Kind::Top => "top",
            #[cfg(feature = "kernel")]
            Kind::Capability => "capability",
            #[cfg(feature = "kernel")]
            Kind::Level => "level",
            Kind::Explanation => "explanation",
            Kind::Difference => "difference",
            Kind::Question => "question",
            Kind::Decision => "decision",
            Kind::Coverage => "coverage",
            Kind::Extract => "extract",
            Kind::Check => "check",
            Kind::Merge => "merge",
            Kind::Diff => "diff",
            Kind::Export => "export",
            Kind::Review => "review",
            Kind::Warning => "warning",
            Kind::Error => "error",
        }
    }
}

/// An event: its kind, its fields in the order in which they are written, and its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// What it is about.
    pub kind: Kind,
    /// Names and values. A value that is not known has no field.
    pub fields: Vec<(&'static str, Value)>,
    /// For people, a line each.
    pub lines: Vec<String>,
}

impl Event {
    pub(crate) fn new(kind: Kind) -> Self {
        Event { kind, fields: Vec::new(), lines: Vec::new() }
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a field if there is a value.
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds the policy that the event is about: `policy`, and `cgroup` if it has one.
    pub(crate) fn about(self, policy: &PolicySelector) -> Self {
        self.with("policy", &policy.binary).with_some("cgroup", policy.cgroup.as_ref())
    }

    /// Adds the time of the event: now.
    #[cfg(feature = "kernel")]
    pub(crate) fn now(self) -> Self {
        let time = crate::cli::format::time::stamp(std::time::SystemTime::now());
        self.with("time", time)
    }

    /// Adds a line for people, or several.
    pub(crate) fn saying(mut self, line: impl AsRef<str>) -> Self {
        self.lines.push(said(line.as_ref()));
        self
    }

    /// The value of a field that is a string.
    #[cfg(feature = "kernel")]
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == name).and_then(|(_, value)| value.as_str())
    }
}
