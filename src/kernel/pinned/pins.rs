//! What outlives the process that loaded it: sets of BPF objects, pinned in a directory of a bpf
//! file system.
//!
//! Each set has a directory of its own, named by a number. The map `manifest`, which is pinned
//! last, says what the set is; one without it is a leftover of somebody who was ended while
//! pinning, and enforces nothing that was promised. The current set is the complete one with the
//! highest number, so that a new one takes the place of an old one at once.

use crate::kernel::bpf::bpffs::{failed, require_bpffs, PinDirectory};
use crate::kernel::error::KernelError;
use crate::kernel::support::privileges::require_privilege;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// The directory of sets.
#[derive(Debug, Clone)]
pub struct Pins {
    root: PathBuf,
}

/// The right to change what is pinned: of one process at a time, until it is dropped.
#[derive(Debug)]
pub struct AgentLock {
    _lock: Flock<File>,
}

/// One set of pinned objects, in a directory of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Set {
    number: u64,
    /// The set's objects, by their names.
    pub directory: PinDirectory,
}

impl Set {
    /// The names of the links at the tracepoints begin with this.
    pub(crate) const HOOK: &'static str = "link_hook_";
    /// The names of the links at the enforcement points begin with this.
    pub(crate) const VETO: &'static str = "link_veto_";

    /// Whether everything of the set is pinned.
    pub(crate) fn is_complete(&self) -> bool {
        self.directory.contains(MANIFEST)
    }

    /// Unpins everything, what makes the set complete first.
    pub(crate) fn remove(&self) -> Result<(), KernelError> {
        self.directory.remove(MANIFEST)
    }
}

/// What marks a complete set.
pub(crate) const MANIFEST: &str = "manifest";

/// How long one waits who finds the directory locked: who only asks whether there is an agent locks
/// it for a moment.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 20;

impl Pins {
    /// Where sets are pinned if nothing else is said.
    pub const ROOT: &'static str = "/sys/fs/bpf/sysfsm";

    /// The sets in this directory, which need not be there.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Pins { root: root.to_path_buf() }
    }

    /// Becomes the one who may change what is pinned.
    ///
    /// # Errors
    /// The directory cannot be made, is in no bpf file system, or another agent is at work.
    pub fn acquire(&self) -> Result<AgentLock, KernelError> {
        require_privilege()?;
        match fs::create_dir(&self.root) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make the directory", &self.root, e));
            }
            _ => {}
        }
        require_bpffs(&self.root)?;
        let mut directory = File::open(&self.root).map_err(|e| failed("open", &self.root, e))?;
        for _ in 0..LOOKS {
            directory = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(AgentLock { _lock: lock }),
                Err((directory, Errno::EWOULDBLOCK)) => directory,
                Err((_, e)) => return Err(failed("lock", &self.root, e.into())),
            };
            sleep(LOOK);
        }
        Err(KernelError::Agent(self.root.clone()))
    }

    /// Whether an agent is at work.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        File::open(&self.root).is_ok_and(|directory| {
            matches!(
                Flock::lock(directory, FlockArg::LockSharedNonblock),
                Err((_, Errno::EWOULDBLOCK))
            )
        })
    }

    /// Whether anything is enforced.
    #[must_use]
    pub fn is_enforcing(&self) -> bool {
        self.current().is_ok_and(|set| set.is_some())
    }

    /// All sets, the lowest number first.
    pub(crate) fn sets(&self) -> Result<Vec<Set>, KernelError> {
        let entries = match fs::read_dir(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| failed("list", &self.root, e))?,
        };
        let mut sets = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| failed("list", &self.root, e))?;
            if let Some(number) = entry.file_name().to_str().and_then(|n| n.parse().ok()) {
                sets.push(Set { number, directory: PinDirectory::at(entry.path()) });
            }
        }
        sets.sort();
        Ok(sets)
    }

    /// The set that is enforced.
    pub(crate) fn current(&self) -> Result<Option<Set>, KernelError> {
        Ok(self.sets()?.into_iter().rfind(Set::is_complete))
    }

    /// A new set, empty, that is to follow all others.
    pub(crate) fn add(&self, _: &AgentLock) -> Result<Set, KernelError> {
        let number = self.sets()?.last().map_or(1, |s| s.number + 1);
        let directory = PinDirectory::create(self.root.join(number.to_string()))?;
        Ok(Set { number, directory })
    }

    /// Removes the directory itself, in which nothing must be.
    pub(crate) fn remove(&self) -> Result<(), KernelError> {
        match fs::remove_dir(&self.root) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.root, e)),
            _ => Ok(()),
        }
    }
}
