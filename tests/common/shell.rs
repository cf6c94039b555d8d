//! A shell that may read and write, and what it does when it is taken over.

use super::lab::{Ended, Lab};
use std::path::{Path, PathBuf};

/// A copy of a shell, and its policy.
pub struct Shell {
    pub binary: PathBuf,
    pub policy: PathBuf,
}

pub const ECHOES: &str = "while read x; do echo \"$x\"; done";

/// What an attacker has it do: its second call after the first lawful ones is none that it was learned with.
pub const TAKEN_OVER: &str = "read x; echo \"$x\"; exec /bin/true";

impl Shell {
    pub fn new(lab: &Lab, name: &str) -> Self {
        let binary = lab.copy(Path::new("/bin/dash"), name);
        let policy = lab.learn(&binary, &[(&["-c", ECHOES], "a\nb\nc")]);
        Shell { binary, policy }
    }

    pub fn attack(&self, lab: &Lab) -> Ended {
        attack(lab, &self.binary)
    }

    /// Does what it was learned from; whether it came to its end.
    pub fn lives(&self, lab: &Lab) -> bool {
        lives(lab, &self.binary)
    }
}

/// The attack, on whatever shell is at a path.
pub fn attack(lab: &Lab, shell: &Path) -> Ended {
    lab.run(shell, &["-c", TAKEN_OVER], "a")
}

/// The lawful work of whatever shell is at a path.
pub fn lives(lab: &Lab, shell: &Path) -> bool {
    let ended = lab.run(shell, &["-c", ECHOES], "a\nb");
    ended.status.success() && ended.stdout == "a\nb\n"
}
