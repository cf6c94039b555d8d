//! A violation as `enforce --json` and `check --json` print it, read back.

use crate::machine::Reason;
use crate::policy::Subject;
use serde::Deserialize;
use serde_json::Value;

/// What is asked of a violation. Keys that are not known are left alone: they are others' to read.
#[derive(Debug, Clone, Deserialize)]
pub struct Violation {
    /// By which it is found among others.
    pub id: Option<String>,
    /// `transition`, `abi` or `sigreturn`.
    pub reason: String,
    /// What was done: `kill`, `deny` or `log`.
    pub action: String,
    /// The binary of the policy that judged.
    pub policy: String,
    /// The cgroup of that policy.
    pub cgroup: Option<String>,
    /// When.
    pub time: Option<String>,
    /// The process.
    pub pid: Option<u32>,
    /// The thread.
    pub tid: Option<u32>,
    /// The thread's name.
    pub comm: Option<String>,
    /// The last symbols, oldest first.
    pub context: Vec<String>,
    /// The symbol that had no edge.
    pub symbol: String,
    /// A foreign call's number in its own table.
    pub number: Option<u32>,
    /// A foreign call's name in a log.
    pub call: Option<String>,
    /// The argument registers.
    #[serde(default)]
    pub args: Vec<String>,
    /// It was to be killed, and the kernel refused to.
    #[serde(default)]
    pub kill_failed: bool,
    /// Of a replay: the log.
    pub file: Option<String>,
    /// Of a replay: the line.
    pub line: Option<u64>,
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
    Other(String),
    /// A violation with something missing or of the wrong kind.
    #[error("no whole violation: {0}")]
    Incomplete(String),
}

impl Violation {
    /// What the policy that judged is for. A replay does not tell its cgroup.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject { binary: self.policy.clone(), cgroup: self.cgroup.clone() }
    }

    /// Reads one line.
    ///
    /// # Errors
    /// Whatever makes it no violation.
    pub fn parse(line: &str) -> Result<Self, NoViolation> {
        let value: Value =
            serde_json::from_str(line).map_err(|e| NoViolation::Json(e.to_string()))?;
        match value.get("event").and_then(Value::as_str) {
            None => return Err(NoViolation::NoEvent),
            Some("violation") => {}
            Some(other) => return Err(NoViolation::Other(other.into())),
        }
        let violation: Violation =
            serde_json::from_value(value).map_err(|e| NoViolation::Incomplete(e.to_string()))?;
        let reasons = [Reason::Transition, Reason::Abi, Reason::Sigreturn].map(Reason::as_str);
        if reasons.contains(&violation.reason.as_str()) {
            Ok(violation)
        } else {
            Err(NoViolation::Incomplete(format!("unknown reason `{}`", violation.reason)))
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
