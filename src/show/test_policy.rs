//! Policies for the tests of this layer.
#![allow(clippy::unwrap_used)]

use crate::policy::{parse, Policy};

/// A program with a handler.
pub(super) const SIGNALS: &str = r#"{"sysfsm": 1, "binary": "/usr/bin/prog", "runs": 2, "transitions": {
    "execve": {"brk": {"calls": 2, "runs": 2}},
    "brk": {"write": {"calls": 1000, "runs": 2}},
    "write": {"exit_group": {"calls": 2, "runs": 2}, "rt_sigreturn": {"calls": 3, "runs": 1}},
    "@SIGUSR1": {"write": {"calls": 3, "runs": 1}}}}"#;

/// A policy from its text.
pub(super) fn policy(text: &str) -> Policy {
    parse(text.as_bytes()).unwrap()
}

/// A policy whose binary has this name.
pub(super) fn named(binary: &str) -> Policy {
    Policy { binary: binary.into(), ..policy(SIGNALS) }
}
