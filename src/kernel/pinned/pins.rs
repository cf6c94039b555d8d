//! What outlives the process that loaded it: sets of BPF objects, pinned in a directory of a bpf
//! file system.
//!
//! Each set has a directory of its own, named by a number. The map `manifest`, which is pinned
//! last, says what the set is; one without it is a leftover of somebody who was ended while
//! pinning, and enforces nothing that was promised. The current set is the complete one with the
//! highest number, so that a new one takes the place of an old one at once.

use crate::kernel::bpf::objects;
use crate::kernel::doctor as probe;
use crate::kernel::error::KernelError;
use libbpf_rs::MapHandle;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{statfs, BPF_FS_MAGIC};
use std::fs::{self, File};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
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
pub struct Agency {
    _lock: Flock<File>,
}

/// One set: a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Set {
    number: u64,
    path: PathBuf,
}

/// What marks a complete set.
pub(crate) const MANIFEST: &str = "manifest";

/// What is about to take another one's place.
const NEXT: &str = "next";

/// How long one waits who finds the directory locked: who only asks whether there is an agent locks
/// it for a moment.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS: u32 = 20;

fn failed(what: &'static str, path: &Path, cause: io::Error) -> KernelError {
    KernelError::Pin { what, path: path.to_path_buf(), cause }
}

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
    pub fn acquire(&self) -> Result<Agency, KernelError> {
        probe::require_privilege()?;
        match fs::create_dir(&self.root) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make the directory", &self.root, e));
            }
            _ => {}
        }
        let kind = statfs(&self.root).map_err(|e| failed("look at", &self.root, e.into()))?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
            let cause = io::Error::other("it is in no bpf file system");
            return Err(failed("pin in", &self.root, cause));
        }
        let mut directory = File::open(&self.root).map_err(|e| failed("open", &self.root, e))?;
        for _ in 0..LOOKS {
            directory = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Agency { _lock: lock }),
                Err((directory, Errno::EWOULDBLOCK)) => directory,
                Err((_, e)) => return Err(failed("lock", &self.root, e.into())),
            };
            sleep(LOOK);
        }
        Err(KernelError::Agent(self.root.clone()))
    }

    /// Whether an agent is at work.
    #[must_use]
    pub fn attended(&self) -> bool {
        File::open(&self.root).is_ok_and(|directory| {
            matches!(
                Flock::lock(directory, FlockArg::LockSharedNonblock),
                Err((_, Errno::EWOULDBLOCK))
            )
        })
    }

    /// Whether anything is enforced.
    #[must_use]
    pub fn hold(&self) -> bool {
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
                sets.push(Set { number, path: entry.path() });
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
    pub(crate) fn add(&self, _: &Agency) -> Result<Set, KernelError> {
        let number = self.sets()?.last().map_or(1, |s| s.number + 1);
        let path = self.root.join(number.to_string());
        fs::create_dir(&path).map_err(|e| failed("make the directory", &path, e))?;
        Ok(Set { number, path })
    }

    /// Removes the directory itself, in which nothing must be.
    pub(crate) fn remove(&self) -> Result<(), KernelError> {
        match fs::remove_dir(&self.root) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.root, e)),
            _ => Ok(()),
        }
    }
}

impl Set {
    /// How the names of the hooks' links begin, those of the choke points', and those of the
    /// programs at the hooks.
    pub(crate) const HOOK: &'static str = "link_hook_";
    pub(crate) const VETO: &'static str = "link_veto_";
    pub(crate) const PROGRAM: &'static str = "program_hook_";

    pub(crate) fn is_complete(&self) -> bool {
        self.path.join(MANIFEST).exists()
    }

    /// Pins an object under a name.
    pub(crate) fn pin(&self, name: &str, object: BorrowedFd<'_>) -> Result<(), KernelError> {
        let path = self.path.join(name);
        objects::pin(object, &path).map_err(|e| failed("pin", &path, e))
    }

    /// Pins an object that is to take the place of another one.
    pub(crate) fn pin_next(&self, object: BorrowedFd<'_>) -> Result<(), KernelError> {
        // Of somebody who was ended here.
        let _ = fs::remove_file(self.path.join(NEXT));
        self.pin(NEXT, object)
    }

    /// It does, at once.
    pub(crate) fn replace(&self, name: &str) -> Result<(), KernelError> {
        let path = self.path.join(name);
        fs::rename(self.path.join(NEXT), &path).map_err(|e| failed("replace", &path, e))
    }

    /// What is pinned under a name.
    pub(crate) fn open(&self, name: &str) -> Result<OwnedFd, KernelError> {
        let path = self.path.join(name);
        objects::open(&path).map_err(|e| failed("open", &path, e))
    }

    /// The map that is pinned under a name.
    pub(crate) fn map(&self, name: &str) -> Result<MapHandle, KernelError> {
        let path = self.path.join(name);
        MapHandle::from_pinned_path(&path).map_err(|e| failed("open", &path, io::Error::other(e)))
    }

    /// What is pinned under names that begin so: the rest of the names, in their order.
    pub(crate) fn all(&self, prefix: &str) -> Result<Vec<(String, OwnedFd)>, KernelError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|e| failed("list", &self.path, e))? {
            let name = entry.map_err(|e| failed("list", &self.path, e))?.file_name();
            names.extend(name.to_str().and_then(|n| n.strip_prefix(prefix)).map(String::from));
        }
        names.sort();
        names
            .into_iter()
            .map(|name| {
                let object = self.open(&format!("{prefix}{name}"))?;
                Ok((name, object))
            })
            .collect()
    }

    /// Unpins everything, what makes the set complete first.
    pub(crate) fn remove(&self) -> Result<(), KernelError> {
        let manifest = self.path.join(MANIFEST);
        if manifest.exists() {
            fs::remove_file(&manifest).map_err(|e| failed("remove", &manifest, e))?;
        }
        for entry in fs::read_dir(&self.path).map_err(|e| failed("list", &self.path, e))? {
            let path = entry.map_err(|e| failed("list", &self.path, e))?.path();
            fs::remove_file(&path).map_err(|e| failed("remove", &path, e))?;
        }
        fs::remove_dir(&self.path).map_err(|e| failed("remove", &self.path, e))
    }
}
