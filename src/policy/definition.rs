//! The policy: a machine, the binary that it binds, and what to do on a violation.

use crate::machine::Machine;
use crate::policy::action::{Action, Children};
use crate::policy::selector::{ends_in, relative_tail, PolicySelector, ANY_BINARY};
use crate::syscall::Symbol;
use crate::text::UntrustedText;

/// A policy.
///
/// [`parse`](crate::policy::parse) reads one, [`Policy::to_json`] writes its canonical form.
///
/// ```
/// use sysfsm::policy::{parse, Action};
///
/// let text = r#"{"sysfsm": 1, "binary": "/usr/bin/cat", "transitions": {"execve": ["brk"]}}"#;
/// let policy = parse(text.as_bytes()).unwrap();
/// assert_eq!(policy.binary, "/usr/bin/cat");
/// assert_eq!(policy.action, Action::Kill);
/// assert_eq!(parse(policy.to_json().as_bytes()).unwrap(), policy);
///
/// let mistakes = parse(br#"{"sysfsm": 1, "binary": "/usr/bin/cat", "depth": 9}"#).unwrap_err();
/// assert_eq!(mistakes.len(), 2, "no such depth, and no transitions");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The executable: an absolute path, a file name without a slash, which any executable of that
    /// name has, or, with a cgroup, [`ANY_BINARY`].
    pub binary: UntrustedText,
    /// Only in this cgroup, and in those below it: its path in the hierarchy of version 2.
    pub cgroup: Option<UntrustedText>,
    /// What to do on a violation.
    pub action: Action,
    /// What becomes of it over an exec.
    pub children: Children,
    /// How many runs it was learned from; 0 where that is not known.
    pub runs: u64,
    /// The automaton.
    pub machine: Machine,
}

impl Policy {
    /// What a reader of this policy should know, whatever it is read for.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        const IO_URING_SETUP: Symbol = Symbol::Call(425);
        let mut warnings = Vec::new();
        if self.machine.alphabet().contains(&IO_URING_SETUP) {
            warnings.push(format!(
                "the policy for `{}` allows io_uring_setup: what io_uring does for the program is invisible to it",
                self.binary
            ));
        }
        warnings
    }

    /// The processes that the policy is for.
    #[must_use]
    pub fn selector(&self) -> PolicySelector {
        PolicySelector { binary: self.binary.clone(), cgroup: self.cgroup.clone() }
    }

    /// The policy's selector, for people.
    #[must_use]
    pub fn name(&self) -> String {
        self.selector().to_string()
    }

    /// Whether the relative `path` of a log can be this policy's absolute one: a log does not have
    /// the working directory.
    #[must_use]
    pub fn may_be(&self, path: &str) -> bool {
        relative_tail(path).is_some_and(|tail| ends_in(self.binary.whole(), tail))
    }

    /// Whether an exec of `path` is an exec of this policy's binary, judged by the names alone.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        self.binary == path
            || self.binary == ANY_BINARY
            || (!self.binary.whole().contains('/')
                && path.rsplit('/').next() == Some(self.binary.whole()))
    }
}
