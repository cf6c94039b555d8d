//! A violation, as `enforce` and `check` report it: made from what the kernel or a log has shown,
//! written as an event, and read back.

use crate::machine::{Context, Reason};
use crate::policy::{Action, PolicySelector};
use crate::text::{said, shown, UntrustedText};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

/// A violation. What its source does not know is `None`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Violation {
    /// By which it is found among others.
    pub id: Option<UntrustedText>,
    /// When it happened.
    pub time: Option<UntrustedText>,
    /// Why it is one.
    #[serde(deserialize_with = "reason")]
    pub reason: Reason,
    /// What was done, or in a replay would be done.
    #[serde(deserialize_with = "action")]
    pub action: Action,
    /// The binary of the policy that judged.
    pub policy: UntrustedText,
    /// The cgroup of that policy.
    pub cgroup: Option<UntrustedText>,
    /// The process.
    pub pid: Option<u32>,
    /// The thread.
    pub tid: Option<u32>,
    /// The thread's name.
    pub comm: Option<UntrustedText>,
    /// The last symbols, oldest first.
    pub context: Vec<UntrustedText>,
    /// The symbol that no transition reads there.
    pub symbol: UntrustedText,
    /// A foreign call's number in its own table.
    pub number: Option<u32>,
    /// A foreign call's name in a log.
    pub call: Option<UntrustedText>,
    /// The argument registers.
    #[serde(default)]
    pub args: Vec<UntrustedText>,
    /// Where the program called from.
    pub ip: Option<UntrustedText>,
    /// How many of its kind were counted without being reported one by one.
    pub count: Option<u64>,
    /// Whether the process was to be killed, and the kernel refused to.
    pub kill_failed: Option<bool>,
    /// The log, if a log has shown it.
    pub file: Option<UntrustedText>,
    /// The line of the log.
    pub line: Option<u64>,
}

fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
    let text = String::deserialize(deserializer)?;
    let found = Reason::all().into_iter().find(|reason| reason.as_str() == text);
    found.ok_or_else(|| D::Error::custom(format!("unknown reason `{}`", shown(&text))))
}

fn action<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Action, D::Error> {
    let text = String::deserialize(deserializer)?;
    let found = Action::ALL.into_iter().find(|action| action.as_str() == text);
    found.ok_or_else(|| D::Error::custom(format!("unknown action `{}`", shown(&text))))
}

/// A text that is no violation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoViolation {
    /// Not even JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// JSON, and no event of ours.
    #[error("no event of sysfsm")]
    NoEvent,
    /// Another event.
    #[error("a `{0}` event, and no violation")]
    Other(UntrustedText),
    /// A violation with something missing or of the wrong kind.
    #[error("no whole violation: {0}")]
    Incomplete(String),
}

impl Violation {
    /// A violation of a policy, of which nothing else is known.
    #[must_use]
    pub fn new(
        policy: &PolicySelector,
        action: Action,
        reason: Reason,
        context: &Context,
        symbol: impl Into<UntrustedText>,
    ) -> Self {
        Violation {
            id: None,
            time: None,
            reason,
            action,
            policy: policy.binary.clone(),
            cgroup: policy.cgroup.clone(),
            pid: None,
            tid: None,
            comm: None,
            context: context.symbols().iter().map(|s| s.to_string().into()).collect(),
            symbol: symbol.into(),
            number: None,
            call: None,
            args: Vec::new(),
            ip: None,
            count: None,
            kill_failed: None,
            file: None,
            line: None,
        }
    }

    /// The policy that judged.
    #[must_use]
    pub fn selector(&self) -> PolicySelector {
        PolicySelector { binary: self.policy.clone(), cgroup: self.cgroup.clone() }
    }

    /// Reads the line of one violation.
    ///
    /// # Errors
    /// Whatever makes the line no violation.
    pub fn parse(line: &str) -> Result<Self, NoViolation> {
        Self::parse_event(line, &["violation"])
    }

    /// Reads the line of one violation, or of a count of several.
    ///
    /// # Errors
    /// Whatever makes the line neither of them.
    pub fn parse_one_or_repeated(line: &str) -> Result<Self, NoViolation> {
        Self::parse_event(line, &["violation", "repeated"])
    }

    fn parse_event(line: &str, events: &[&str]) -> Result<Self, NoViolation> {
        let value: Value =
            serde_json::from_str(line).map_err(|e| NoViolation::Json(said(&e.to_string())))?;
        match value.get("event").and_then(Value::as_str) {
            None => return Err(NoViolation::NoEvent),
            Some(event) if events.contains(&event) => {}
            Some(other) => return Err(NoViolation::Other(other.into())),
        }
        serde_json::from_value(value).map_err(|e| NoViolation::Incomplete(said(&e.to_string())))
    }

    /// What happened, in words: `execve` after `read` is not in the policy.
    #[must_use]
    pub fn sentence(&self) -> String {
        let symbol = &self.symbol;
        match self.reason {
            Reason::Sigreturn => format!("`{symbol}` with no signal handler active"),
            Reason::Abi => {
                let which = match (&self.call, self.number) {
                    (Some(name), _) => format!("`{name}`"),
                    (None, Some(number)) => format!("call {number}"),
                    (None, None) => "a call".into(),
                };
                let abi = if *symbol == *"@x32" { "x32" } else { "32-bit" };
                format!("{which} through the {abi} ABI")
            }
            Reason::Transition if self.context.is_empty() => {
                format!("`{symbol}` is nowhere in the policy")
            }
            Reason::Transition => {
                format!("`{symbol}` after `{}` is not in the policy", self.done())
            }
        }
    }

    /// The context, for people.
    #[must_use]
    pub fn done(&self) -> String {
        let symbols: Vec<String> = self.context.iter().map(ToString::to_string).collect();
        symbols.join(" ")
    }

    /// What became of the call or its process, in a word or two.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match (self.action, self.kill_failed) {
            (Action::Kill, Some(true)) => "NOT KILLED: the kernel refused",
            (Action::Kill, _) => "killed",
            (Action::Deny, _) => "denied",
            (Action::Log, _) => "logged",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// From a real `enforce --json`.
    const LINE: &str = r#"{"event":"violation","time":"2026-11-23T13:19:58.673899891Z","reason":"transition","action":"kill","policy":"/tmp/try/tar","pid":23178,"tid":23178,"comm":"tar","context":["rt_sigaction"],"symbol":"rt_sigprocmask","args":["0x0","0x563efe418880","0x0","0x8","0x0","0x0"],"ip":"0x7f1ca7381dd4"}"#;

    #[test]
    fn a_line_of_enforce_is_a_violation_and_a_key_of_tomorrow_is_no_mistake() {
        let violation = Violation::parse(LINE).unwrap();
        assert_eq!((violation.pid, violation.args.len()), (Some(23178), 6));
        let tomorrow = LINE.replace("\"ip\"", "\"stack\"");
        assert_eq!(Violation::parse(&tomorrow).unwrap().symbol, "rt_sigprocmask");
    }

    #[test]
    fn anything_else_is_told_from_it() {
        for (line, part) in [
            ("", "not JSON"),
            ("tar: killed", "not JSON"),
            ("[]", "no event"),
            ("{\"sysfsm\": 1}", "no event"),
            ("{\"event\": \"start\"}", "`start`"),
            (&LINE.replace("\"symbol\"", "\"sym\""), "symbol"),
            (&LINE.replace("[\"rt_sigaction\"]", "\"rt_sigaction\""), "invalid type"),
            (&LINE.replace("\"transition\"", "\"mood\""), "`mood`"),
        ] {
            let error = Violation::parse(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
