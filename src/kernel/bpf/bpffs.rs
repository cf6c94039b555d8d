//! A directory of pinned objects, in a bpf file system.

use crate::kernel::bpf::objects;
use crate::kernel::error::KernelError;
use libbpf_rs::MapHandle;
use nix::sys::statfs::{statfs, BPF_FS_MAGIC};
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The name of an object that is about to replace another one.
const NEXT: &str = "next";

/// The error of an operation on a path in a bpf file system: `what` is a verb, as in "pin".
pub(crate) fn failed(what: &'static str, path: &Path, cause: io::Error) -> KernelError {
    KernelError::Pin { what, path: path.to_path_buf(), cause }
}

/// Whether a path lies in a bpf file system.
///
/// # Errors
/// The path does not, or it cannot be looked at.
pub(crate) fn require_bpffs(path: &Path) -> Result<(), KernelError> {
    let kind = statfs(path).map_err(|e| failed("look at", path, e.into()))?;
    if kind.filesystem_type() != BPF_FS_MAGIC {
        let cause = io::Error::other("it is in no bpf file system");
        return Err(failed("pin in", path, cause));
    }
    Ok(())
}

/// A directory whose files are pinned objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PinDirectory {
    path: PathBuf,
}

impl PinDirectory {
    /// A directory that exists.
    pub(crate) fn at(path: PathBuf) -> Self {
        PinDirectory { path }
    }

    /// Makes a new directory.
    pub(crate) fn create(path: PathBuf) -> Result<Self, KernelError> {
        fs::create_dir(&path).map_err(|e| failed("make the directory", &path, e))?;
        Ok(PinDirectory { path })
    }

    /// Whether an object is pinned under a name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// Pins an object under a name.
    pub(crate) fn pin(&self, name: &str, object: BorrowedFd<'_>) -> Result<(), KernelError> {
        let path = self.path.join(name);
        objects::pin(object, &path).map_err(|e| failed("pin", &path, e))
    }

    /// Pins an object that is to replace another one ([`PinDirectory::replace`]).
    pub(crate) fn pin_next(&self, object: BorrowedFd<'_>) -> Result<(), KernelError> {
        // A process that was killed between `pin_next` and `replace` has left this name.
        let _ = fs::remove_file(self.path.join(NEXT));
        self.pin(NEXT, object)
    }

    /// Gives the object of [`PinDirectory::pin_next`] this name, whose object it replaces. Anybody
    /// who opens the name gets the one object or the other.
    pub(crate) fn replace(&self, name: &str) -> Result<(), KernelError> {
        let path = self.path.join(name);
        fs::rename(self.path.join(NEXT), &path).map_err(|e| failed("replace", &path, e))
    }

    /// The object that is pinned under a name.
    pub(crate) fn open(&self, name: &str) -> Result<OwnedFd, KernelError> {
        let path = self.path.join(name);
        objects::open(&path).map_err(|e| failed("open", &path, e))
    }

    /// The map that is pinned under a name.
    pub(crate) fn map(&self, name: &str) -> Result<MapHandle, KernelError> {
        let path = self.path.join(name);
        MapHandle::from_pinned_path(&path).map_err(|e| failed("open", &path, io::Error::other(e)))
    }

    /// The objects whose names begin with a prefix, each with the rest of its name, in the order of
    /// the names.
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

    /// Unpins everything, the object `first` before all others, and removes the directory.
    pub(crate) fn remove(&self, first: &str) -> Result<(), KernelError> {
        let path = self.path.join(first);
        if path.exists() {
            fs::remove_file(&path).map_err(|e| failed("remove", &path, e))?;
        }
        for entry in fs::read_dir(&self.path).map_err(|e| failed("list", &self.path, e))? {
            let path = entry.map_err(|e| failed("list", &self.path, e))?.path();
            fs::remove_file(&path).map_err(|e| failed("remove", &path, e))?;
        }
        fs::remove_dir(&self.path).map_err(|e| failed("remove", &self.path, e))
    }
}
