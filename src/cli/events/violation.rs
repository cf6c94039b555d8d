//! A violation as `check` and `enforce` print it: a line for people, or a JSON object.

use crate::machine::{Context, Reason};
use crate::policy::Action;
use serde::Serialize;

/// A violation as a JSON object. What a source does not know is left out.
#[derive(Debug, Serialize)]
pub(crate) struct Violation<'a> {
    pub event: &'static str,
    /// By which `explain` finds it again: the hash of all the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    pub reason: &'static str,
    pub action: &'static str,
    pub policy: &'a str,
    /// The policy is for this cgroup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<&'a str>,
    pub context: Vec<String>,
    pub symbol: &'a str,
    /// A foreign call's number in its own table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// A foreign call's name in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// How many, where they are not told one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The process was to be killed, and the kernel refused to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub kill_failed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl<'a> Violation<'a> {
    pub(crate) fn new(
        policy: &'a str,
        action: Action,
        reason: Reason,
        context: Context,
        symbol: &'a str,
    ) -> Self {
        Violation {
            event: "violation",
            id: None,
            time: None,
            reason: reason.as_str(),
            action: action.as_str(),
            policy,
            cgroup: None,
            pid: None,
            tid: None,
            comm: None,
            context: context.symbols().iter().map(ToString::to_string).collect(),
            symbol,
            number: None,
            call: None,
            args: None,
            ip: None,
            count: None,
            kill_failed: false,
            file: None,
            line: None,
        }
    }

    /// What the kernel has judged.
    #[cfg(feature = "kernel")]
    pub(crate) fn of(kind: &'a crate::kernel::Kind) -> Self {
        let mut violation = Violation::new(
            &kind.policy.binary,
            kind.action,
            kind.reason,
            kind.context,
            &kind.symbol,
        );
        violation.cgroup = kind.policy.cgroup.as_deref();
        violation.number = kind.number;
        violation
    }

    /// Gives it its id, when nothing else of it changes any more.
    #[cfg(feature = "kernel")]
    pub(crate) fn identify(&mut self) -> &str {
        use sha2::{Digest as _, Sha256};
        use std::fmt::Write as _;
        const BYTES: usize = 6;
        self.id = None;
        let digest = Sha256::digest(self.to_json());
        self.id.insert(digest.iter().take(BYTES).fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        }))
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What happened, in words: `execve after read is not in the policy`.
    pub(crate) fn sentence(&self) -> String {
        let symbol = self.symbol;
        if self.reason == Reason::Sigreturn.as_str() {
            return format!("`{symbol}` with no signal handler active");
        }
        if self.reason == Reason::Abi.as_str() {
            let which = match (self.call, self.number) {
                (Some(name), _) => format!("`{name}`"),
                (None, Some(number)) => format!("call {number}"),
                (None, None) => "a call".into(),
            };
            let abi = if symbol == "@x32" { "x32" } else { "32-bit" };
            return format!("{which} through the {abi} ABI");
        }
        if self.context.is_empty() {
            return format!("`{symbol}` is nowhere in the policy");
        }
        format!("`{symbol}` after `{}` is not in the policy", self.context.join(" "))
    }
}
