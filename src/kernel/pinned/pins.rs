//! The directory of pinned sets, in a bpf file system. A set is the BPF objects of an enforcement
//! that outlives the process that loaded it.
//!
//! Each set has a directory of its own, named by a number. Its manifest is pinned last. A set
//! without manifest is incomplete: a process was killed while it pinned the set. The current set is
//! the complete one with the highest number, so that a new set replaces an old one at once.
//!
//! All of these directories are private ([`crate::ownership`]): another user who could make, rename
//! or lock one would hide a set, or have other files removed in place of the set's.

use crate::kernel::bpf::bpffs::{failed, PinDirectory};
use crate::kernel::error::KernelError;
use crate::kernel::support::privileges::require_privilege;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// The directory of sets.
#[derive(Debug, Clone)]
pub struct Pins {
    root: PathBuf,
}

/// The right to change what is pinned. One process has it, until the lock is dropped.
#[derive(Debug)]
pub struct AgentLock {
    _lock: Flock<File>,
}

/// One set of pinned objects, in a directory of its own.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    number: u64,
    /// The set's objects, by their names.
    pub directory: PinDirectory,
}

impl PartialEq for Set {
    /// Whether two sets of one directory are the same.
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
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

    /// Unpins everything, the manifest first: the set is not complete any more.
    pub(crate) fn remove(&self) -> Result<(), KernelError> {
        self.directory.remove(MANIFEST)
    }
}

/// The name of the manifest, which a complete set has.
pub(crate) const MANIFEST: &str = "manifest";

/// How long a process waits that finds the directory locked, and how often it looks again. Asking
/// whether there is an agent locks the directory for a moment, too.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 20;

impl Pins {
    /// The default directory.
    pub const ROOT: &'static str = "/sys/fs/bpf/sysfsm";

    /// The sets in this directory, which need not exist.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Pins { root: root.to_path_buf() }
    }

    /// Takes the right to change what is pinned, and makes the directory if it is missing.
    ///
    /// # Errors
    /// The directory cannot be made, is in no bpf file system, or another agent has the lock.
    pub fn acquire(&self) -> Result<AgentLock, KernelError> {
        require_privilege()?;
        let root = PinDirectory::find_or_create(&self.root)?;
        root.require_bpffs()?;
        let mut directory = root.reopen()?;
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

    /// Whether an agent has the lock.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        let root = PinDirectory::find(&self.root).ok().flatten();
        root.and_then(|root| root.reopen().ok()).is_some_and(|directory| {
            matches!(
                Flock::lock(directory, FlockArg::LockSharedNonblock),
                Err((_, Errno::EWOULDBLOCK))
            )
        })
    }

    /// Whether there is a complete set.
    ///
    /// # Errors
    /// The directory cannot be opened, or others could change it.
    pub fn is_enforcing(&self) -> Result<bool, KernelError> {
        Ok(self.current()?.is_some())
    }

    /// All sets, complete or not, the lowest number first.
    pub(crate) fn sets(&self) -> Result<Vec<Set>, KernelError> {
        let Some(root) = PinDirectory::find(&self.root)? else { return Ok(Vec::new()) };
        let mut sets = Vec::new();
        for name in root.names()? {
            if let Ok(number) = name.parse() {
                sets.push(Set { number, directory: root.inner(&name)? });
            }
        }
        sets.sort_by_key(|set| set.number);
        Ok(sets)
    }

    /// The current set: the complete one with the highest number.
    pub(crate) fn current(&self) -> Result<Option<Set>, KernelError> {
        Ok(self.sets()?.into_iter().rfind(Set::is_complete))
    }

    /// Makes a new set, which is empty, and has the highest number.
    pub(crate) fn add(&self, _: &AgentLock) -> Result<Set, KernelError> {
        let number = self.sets()?.last().map_or(1, |s| s.number + 1);
        let root = PinDirectory::find_or_create(&self.root)?;
        let directory = root.create(&number.to_string())?;
        Ok(Set { number, directory })
    }

    /// Removes the directory, which must be empty.
    pub(crate) fn remove(&self) -> Result<(), KernelError> {
        PinDirectory::find(&self.root)?.map_or(Ok(()), |root| root.remove_empty())
    }
}
