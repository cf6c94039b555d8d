//! Which processes a policy is for: by the binary, and by the cgroup.

use crate::text::UntrustedText;
use std::fmt;

/// The binary of a policy for whatever a cgroup's processes exec that has no policy of its own.
pub const ANY_BINARY: &str = "*";

/// What a policy is for: of several policies each has another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicySelector {
    /// The executable, as in a policy.
    pub binary: UntrustedText,
    /// The cgroup, as in a policy.
    pub cgroup: Option<UntrustedText>,
}

impl fmt::Display for PolicySelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.binary)?;
        match &self.cgroup {
            Some(cgroup) => write!(f, " in {cgroup}"),
            None => Ok(()),
        }
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
