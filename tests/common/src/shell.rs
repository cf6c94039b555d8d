//! A shell that may read and write, and what it does when it is taken over.

use crate::lab::{Ended, Lab, Running};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;

/// A copy of a shell, and its policy.
pub struct Shell {
    /// The copy.
    pub binary: PathBuf,
    /// Its policy.
    pub policy: PathBuf,
}

/// What the shell does lawfully.
pub const ECHOES: &str = "while read x; do echo \"$x\"; done";

/// What an attacker has it do: its second call after the first lawful ones is none that it was
/// learned with.
pub const TAKEN_OVER: &str = "read x; echo \"$x\"; exec /bin/true";

impl Shell {
    /// A copy by this name, and its policy.
    pub fn new(lab: &Lab, name: &str) -> Self {
        let binary = lab.copy(Path::new("/bin/dash"), name);
        let policy = lab.learn(&binary, &[(&["-c", ECHOES], "a\nb\nc")]);
        Shell { binary, policy }
    }

    /// Attacks the copy.
    pub fn attack(&self, lab: &Lab) -> Ended {
        attack(lab, &self.binary)
    }

    /// Does what it was learned from; whether it came to its end.
    pub fn lives(&self, lab: &Lab) -> bool {
        lives(lab, &self.binary)
    }

    /// One that does its lawful work line by line.
    pub fn serve(&self, lab: &Lab) -> Running {
        lab.start(Command::new(&self.binary).args(["-c", ECHOES]))
    }

    /// Does the work while an attacker tries, a user is served by one process, and others live. How
    /// many attacks were stopped, how many processes lived, and what the work came to. It is given
    /// what says that something went wrong.
    pub fn under_load<T>(
        &self,
        lab: &Lab,
        work: impl FnOnce(&dyn Fn() -> bool) -> T,
    ) -> (usize, usize, T) {
        let over = AtomicBool::new(false);
        scope(|scope| {
            let attacker = scope.spawn(|| {
                let mut attacks = 0;
                while !over.load(Ordering::Relaxed) {
                    assert!(self.attack(lab).killed(), "attack {attacks} was not stopped");
                    attacks += 1;
                }
                attacks
            });
            let user = scope.spawn(|| {
                let mut server = self.serve(lab);
                let mut lives = 0;
                while !over.load(Ordering::Relaxed) {
                    let line = format!("line {lives}\n");
                    server.say(line.trim_end());
                    assert!(
                        server.said(|said| said.ends_with(&line)).ends_with(&line),
                        "the server was hurt"
                    );
                    assert!(self.lives(lab), "a lawful process was hurt");
                    lives += 1;
                }
                server.end().well("the server");
                lives
            });
            let ends = Ends(&over);
            let done = work(&|| attacker.is_finished() || user.is_finished());
            drop(ends);
            (attacker.join().unwrap(), user.join().unwrap(), done)
        })
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

/// Tells the other threads to end, also when this one fails.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
