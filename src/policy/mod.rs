//! The policy: a machine, the binary that it binds, and what to do on a violation; and its JSON
//! format (docs/policy-format.md).

mod diff;
mod json;
mod load;
mod merge;
mod parse;
mod write;

pub use diff::{Change, Difference};
pub use load::{load, load_parts, LoadError, Loaded};
pub use merge::MergeError;
pub use parse::{parse, Problem};

use crate::machine::Machine;
use crate::syscall::Symbol;
use std::fmt;

/// What to do on a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// The thread group dies by SIGKILL.
    #[default]
    Kill,
    /// The call fails with EPERM, and the program lives.
    Deny,
    /// The call goes on, and is reported.
    Log,
}

impl Action {
    /// As it stands in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Kill => "kill",
            Action::Deny => "deny",
            Action::Log => "log",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of the policy when a watched thread execs a binary that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Children {
    /// The thread is not watched any more.
    #[default]
    Release,
    /// It keeps the policy.
    Inherit,
}

impl Children {
    /// As it stands in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Children::Release => "release",
            Children::Inherit => "inherit",
        }
    }
}

/// The binary of a policy for whatever a cgroup's processes exec that has no policy of its own.
pub const ANY_BINARY: &str = "*";

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The executable: an absolute path, a file name without a slash, which any executable of that
    /// name has, or, with a cgroup, [`ANY_BINARY`].
    pub binary: String,
    /// Only in this cgroup, and in those below it: its path in the hierarchy of version 2.
    pub cgroup: Option<String>,
    /// What to do on a violation.
    pub action: Action,
    /// What becomes of it over an exec.
    pub children: Children,
    /// How many runs it was learned from; 0 where that is not known.
    pub runs: u64,
    /// The automaton.
    pub machine: Machine,
}

/// What a policy is for: of several policies each has another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// As [`Policy::binary`].
    pub binary: String,
    /// As [`Policy::cgroup`].
    pub cgroup: Option<String>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.binary)?;
        match &self.cgroup {
            Some(cgroup) => write!(f, " in {cgroup}"),
            None => Ok(()),
        }
    }
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

    /// What it is for.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject { binary: self.binary.clone(), cgroup: self.cgroup.clone() }
    }

    /// The same, for people.
    #[must_use]
    pub fn name(&self) -> String {
        self.subject().to_string()
    }

    /// Whether the relative `path` of a log can be this policy's absolute one: a log does not tell
    /// the working directory.
    #[must_use]
    pub fn may_be(&self, path: &str) -> bool {
        relative_tail(path).is_some_and(|tail| ends_in(&self.binary, tail))
    }

    /// Whether an exec of `path` is an exec of this policy's binary, judged by the names alone.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        self.binary == path
            || self.binary == ANY_BINARY
            || (!self.binary.contains('/') && path.rsplit('/').next() == Some(&self.binary))
    }
}

/// A relative path without its `./`; none for an absolute one, and for one that leads upwards.
#[must_use]
pub fn relative_tail(path: &str) -> Option<&str> {
    let tail = path.trim_start_matches("./");
    (!path.starts_with('/') && !path.starts_with("../")).then_some(tail)
}

/// Whether an absolute path ends in these components.
#[must_use]
pub fn ends_in(absolute: &str, tail: &str) -> bool {
    absolute.starts_with('/') && absolute.strip_suffix(tail).is_some_and(|head| head.ends_with('/'))
}
