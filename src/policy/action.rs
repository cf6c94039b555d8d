//! What becomes of a call that a policy does not allow, and of a child.

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
    /// Every action, the hardest first.
    pub const ALL: [Action; 3] = [Action::Kill, Action::Deny, Action::Log];

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
    /// The thread keeps the policy.
    Inherit,
}

impl Children {
    /// Both choices.
    pub const ALL: [Children; 2] = [Children::Release, Children::Inherit];

    /// As it stands in a policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Children::Release => "release",
            Children::Inherit => "inherit",
        }
    }
}
