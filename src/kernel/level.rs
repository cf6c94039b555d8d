//! The levels of enforcement: what a kernel lets an enforcement promise (docs/threat-model.md).

use std::fmt;
use std::str::FromStr;

/// A level of enforcement. The weakest is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A violation is answered by SIGKILL to the process, which is sent at `sys_enter`. The call
    /// itself may still take effect.
    Kill,
    /// Besides, LSM hooks refuse the call.
    Contain,
    /// Besides, the function of the system call is refused where no LSM hook refuses the call.
    Prevent,
}

impl Level {
    /// The level's word on the command line and in events.
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
