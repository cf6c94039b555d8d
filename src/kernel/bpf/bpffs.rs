//! A directory of pinned objects, in a bpf file system. It is opened once and then used by its
//! descriptor, and no link in it is followed.

use crate::kernel::bpf::objects;
use crate::kernel::error::KernelError;
use crate::ownership::{follow, Flaw, Found, PathError, Untrusted};
use libbpf_rs::MapHandle;
use nix::errno::Errno;
use nix::fcntl::{openat, renameat, AtFlags, OFlag};
use nix::sys::stat::{fstatat, mkdirat, Mode, SFlag};
use nix::sys::statfs::{fstatfs, BPF_FS_MAGIC};
use nix::unistd::{unlinkat, UnlinkatFlags};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of an object that is about to replace another one.
const NEXT: &str = "next";

/// How a directory is opened.
const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The error of an operation on a path in a bpf file system: `what` is a verb, as in "pin".
pub(crate) fn failed(what: &'static str, path: &Path, cause: io::Error) -> KernelError {
    KernelError::Pin { what, path: path.to_path_buf(), cause }
}

/// The error of a path that is not followed to the directory of pins, which is `pins`.
fn refused(error: PathError, pins: &Path) -> KernelError {
    match error {
        PathError::Io { path, cause } => failed("look at", &path, cause),
        PathError::Untrusted(untrusted) => {
            KernelError::Untrusted { inside: untrusted.path.starts_with(pins), untrusted }
        }
    }
}

/// A path whose directory is followed, as far as it can be.
fn unlinked(path: &Path) -> PathBuf {
    match (path.parent().map(follow), path.file_name()) {
        (Some(Ok(above)), Some(name)) => above.path.join(name),
        _ => path.to_path_buf(),
    }
}

/// A directory whose files are pinned objects. It belongs to root, or to the user of this process,
/// and nobody else can look into it.
#[derive(Debug, Clone)]
pub(crate) struct PinDirectory {
    directory: Arc<OwnedFd>,
    /// The directory that it is in, which nobody else can take it out of.
    above: Arc<OwnedFd>,
    /// Its path, without links.
    path: PathBuf,
}

impl PinDirectory {
    /// The directory at a path; `None` if there is none.
    ///
    /// # Errors
    /// Others could change the directory or what the path leads to, or it cannot be opened.
    pub(crate) fn find(path: &Path) -> Result<Option<Self>, KernelError> {
        let path = std::path::absolute(path).map_err(|e| failed("look at", path, e))?;
        let found = match follow(&path) {
            Err(PathError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            found => found.map_err(|error| refused(error, &unlinked(&path)))?,
        };
        found.require_private().map_err(|error| refused(error, &found.path))?;
        let above = found.path.parent().unwrap_or(Path::new("/"));
        let above = nix::fcntl::open(above, DIRECTORY, Mode::empty())
            .map_err(|e| failed("open", above, e.into()))?;
        Self::open_at(&Arc::new(above), found.path).map(Some)
    }

    /// Makes the directory at a path, if there is none.
    ///
    /// # Errors
    /// As with [`PinDirectory::find`], or the directory cannot be made.
    pub(crate) fn find_or_create(path: &Path) -> Result<Self, KernelError> {
        if let Some(found) = Self::find(path)? {
            return Ok(found);
        }
        let path = std::path::absolute(path).map_err(|e| failed("look at", path, e))?;
        // Whether others could put something there: all but the last name exists and is followed.
        let path = unlinked(&path);
        match follow(&path) {
            Err(PathError::Io { cause, path: missing })
                if cause.kind() == io::ErrorKind::NotFound && missing == path => {}
            other => drop(other.map_err(|error| refused(error, &path))?),
        }
        match nix::unistd::mkdir(&path, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(failed("make the directory", &path, e.into())),
        }
        Self::find(&path)?.ok_or_else(|| failed("make the directory", &path, Errno::ENOENT.into()))
    }

    /// Opens the directory of this path, which is in `above`.
    fn open_at(above: &Arc<OwnedFd>, path: PathBuf) -> Result<Self, KernelError> {
        let name = path.file_name().unwrap_or_default();
        let directory = openat(above, name, DIRECTORY, Mode::empty()).map_err(|e| {
            // Of a link the kernel says that it is no directory.
            let is_link = fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink());
            let untrusted = Untrusted { path: path.clone(), flaw: Flaw::Link };
            if is_link {
                KernelError::Untrusted { untrusted, inside: true }
            } else {
                failed("open", &path, e.into())
            }
        })?;
        let directory = File::from(directory);
        let found = Found::open(&path, &directory).map_err(|e| failed("look at", &path, e))?;
        found.require_private().map_err(|error| refused(error, &path))?;
        Ok(PinDirectory { directory: Arc::new(directory.into()), above: above.clone(), path })
    }

    /// Requires that the directory is in a bpf file system.
    ///
    /// # Errors
    /// It is not, or it cannot be looked at.
    pub(crate) fn require_bpffs(&self) -> Result<(), KernelError> {
        let kind = fstatfs(&self.directory).map_err(|e| failed("look at", &self.path, e.into()))?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
            let cause = io::Error::other("it is in no bpf file system");
            return Err(failed("pin in", &self.path, cause));
        }
        Ok(())
    }

    /// Opens the directory anew, for a lock of one's own.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn reopen(&self) -> Result<File, KernelError> {
        openat(&self.directory, ".", DIRECTORY, Mode::empty())
            .map(File::from)
            .map_err(|e| failed("open", &self.path, e.into()))
    }

    /// The directory of this name in it.
    ///
    /// # Errors
    /// Others could change that directory, or it is a link, or it cannot be opened.
    pub(crate) fn inner(&self, name: &str) -> Result<Self, KernelError> {
        Self::open_at(&self.directory, self.path.join(name))
    }

    /// Makes a new directory of this name in it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn create(&self, name: &str) -> Result<Self, KernelError> {
        mkdirat(&self.directory, name, Mode::S_IRWXU)
            .map_err(|e| failed("make the directory", &self.path.join(name), e.into()))?;
        self.inner(name)
    }

    /// A path by which bpf(2) finds a name in the directory, whatever the directory's path is.
    fn at(&self, name: &str) -> PathBuf {
        Path::new("/proc/self/fd").join(self.directory.as_raw_fd().to_string()).join(name)
    }

    /// Whether an object is pinned under a name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Requires that a name is no link: bpf(2) follows one.
    fn require_object(&self, name: &str) -> Result<(), KernelError> {
        let path = self.path.join(name);
        let stat = fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|e| failed("open", &path, e.into()))?;
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(failed("open", &path, io::Error::other("it is no pinned object")));
        }
        Ok(())
    }

    /// Pins an object under a name.
    pub(crate) fn pin(&self, name: &str, object: BorrowedFd<'_>) -> Result<(), KernelError> {
        objects::pin(object, &self.at(name)).map_err(|e| failed("pin", &self.path.join(name), e))
    }

    /// Pins an object that is to replace another one ([`PinDirectory::replace`]).
    pub(crate) fn pin_next(&self, object: BorrowedFd<'_>) -> Result<(), KernelError> {
        // A process that was killed between `pin_next` and `replace` has left this name.
        let _ = unlinkat(&self.directory, NEXT, UnlinkatFlags::NoRemoveDir);
        self.pin(NEXT, object)
    }

    /// Gives the object of [`PinDirectory::pin_next`] this name, whose object it replaces. Anybody
    /// who opens the name gets the one object or the other.
    pub(crate) fn replace(&self, name: &str) -> Result<(), KernelError> {
        renameat(&self.directory, NEXT, &self.directory, name)
            .map_err(|e| failed("replace", &self.path.join(name), e.into()))
    }

    /// The object that is pinned under a name.
    pub(crate) fn open(&self, name: &str) -> Result<OwnedFd, KernelError> {
        self.require_object(name)?;
        objects::open(&self.at(name)).map_err(|e| failed("open", &self.path.join(name), e))
    }

    /// The map that is pinned under a name.
    pub(crate) fn map(&self, name: &str) -> Result<MapHandle, KernelError> {
        self.require_object(name)?;
        MapHandle::from_pinned_path(self.at(name))
            .map_err(|e| failed("open", &self.path.join(name), io::Error::other(e)))
    }

    /// The names in the directory, in order. What is no text is none of ours.
    pub(crate) fn names(&self) -> Result<Vec<String>, KernelError> {
        let failed = |e| failed("list", &self.path, e);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.at("")).map_err(failed)? {
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// The objects whose names begin with a prefix, each with the rest of its name, in the order of
    /// the names.
    pub(crate) fn all(&self, prefix: &str) -> Result<Vec<(String, OwnedFd)>, KernelError> {
        let object = |name: &String| {
            let rest = name.strip_prefix(prefix)?;
            Some(self.open(name).map(|object| (rest.to_string(), object)))
        };
        self.names()?.iter().filter_map(object).collect()
    }

    /// Unpins everything, the object `first` before all others, and removes the directory.
    pub(crate) fn remove(&self, first: &str) -> Result<(), KernelError> {
        let names = self.names()?;
        let (before, after): (Vec<_>, Vec<_>) = names.iter().partition(|name| *name == first);
        for name in before.into_iter().chain(after) {
            unlinkat(&self.directory, name.as_str(), UnlinkatFlags::NoRemoveDir)
                .map_err(|e| failed("remove", &self.path.join(name), e.into()))?;
        }
        self.remove_empty()
    }

    /// Removes the directory, which must be empty.
    pub(crate) fn remove_empty(&self) -> Result<(), KernelError> {
        let name = self.path.file_name().unwrap_or_default();
        match unlinkat(&self.above, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(failed("remove", &self.path, e.into())),
        }
    }
}
