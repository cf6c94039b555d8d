//! What enforcement can promise on this kernel (docs/threat-model.md).

use std::fmt;
use std::str::FromStr;

/// A level of enforcement, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Decided at `sys_enter`, SIGKILL to the thread group: the call itself may still take effect.
    Kill,
    /// A condemned thread is refused at every LSM hook.
    Contain,
    /// The system call's function itself is vetoed.
    Prevent,
}

impl Level {
    /// As it stands on the command line and in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Kill => "kill",
            Level::Contain => "contain",
            Level::Prevent => "prevent",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Level::Kill, Level::Contain, Level::Prevent]
            .into_iter()
            .find(|l| l.as_str() == text)
            .ok_or_else(|| format!("unknown level `{text}`: one of prevent, contain, kill"))
    }
}
