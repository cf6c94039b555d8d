//! Where a file is to be written. Its directory is opened once, through no link that others have
//! put on the way, and stays the same one whatever becomes of its path.

use super::entry::directory_of;
use super::follow::{is_own, names, sudo_user, untrusted, Flaw, PathError, LINKS};
use nix::errno::Errno;
use nix::fcntl::{open, openat, readlinkat, OFlag};
use nix::sys::stat::{mkdirat, Mode};
use nix::sys::statfs::{fstatfs, PROC_SUPER_MAGIC};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

const LOOK: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);
const DIRECTORY: OFlag = LOOK.union(OFlag::O_DIRECTORY);

/// A file's directory, which is open, and the file's name in it.
#[derive(Debug)]
pub struct Place {
    _directory: OwnedFd,
    path: PathBuf,
}

impl Place {
    /// Opens the directory of a file, which need not be there.
    ///
    /// # Errors
    /// There is no such directory, or a link on the way belongs to others.
    pub fn of(file: &Path) -> Result<Self, PathError> {
        let mut way = Way::to(directory_of(file))?;
        way.walk(false)?;
        let directory = way.directory;
        let by_descriptor = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        let path = match file.file_name() {
            // Where /proc is not mounted the path has to do.
            Some(name) if by_descriptor.exists() => by_descriptor.join(name),
            _ => file.to_path_buf(),
        };
        Ok(Place { _directory: directory, path })
    }

    /// The file's path by the open directory. It is good for as long as this value lives.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a directory, and those above it, where there are none.
///
/// # Errors
/// One cannot be made, or a link on the way belongs to others.
pub fn make_directory(path: &Path) -> Result<(), PathError> {
    Way::to(path)?.walk(true)
}

/// A way to a directory, which is gone name by name.
struct Way {
    /// How far it is gone.
    directory: OwnedFd,
    /// The path of that, for errors.
    path: PathBuf,
    rest: VecDeque<OsString>,
}

impl Way {
    fn to(path: &Path) -> Result<Self, PathError> {
        let start = if path.is_absolute() { "/" } else { "." };
        let opened = open(start, DIRECTORY, Mode::empty());
        let directory = opened.map_err(|e| failed(Path::new(start), e))?;
        let gone = if path.is_absolute() { "/" } else { "" };
        Ok(Way { directory, path: gone.into(), rest: names(path) })
    }

    /// Goes to the end. `make`: makes the directories that are missing.
    fn walk(&mut self, make: bool) -> Result<(), PathError> {
        let mut links = 0;
        while let Some(name) = self.rest.pop_front() {
            let path = self.path.join(&name);
            if name == ".." {
                self.enter(&name, path)?;
                continue;
            }
            let next = self.look(&name, make).map_err(|e| failed(&path, e))?;
            let next = File::from(next);
            let cause = |cause| PathError::Io { path: path.clone(), cause };
            let metadata = next.metadata().map_err(cause)?;
            if metadata.is_dir() {
                (self.directory, self.path) = (next.into(), path);
            } else if !metadata.is_symlink() {
                return Err(failed(&path, Errno::ENOTDIR));
            } else if fstatfs(&next).is_ok_and(|fs| fs.filesystem_type() == PROC_SUPER_MAGIC) {
                // The kernel's link, which may lead to what has no path.
                self.enter(&name, path)?;
            } else if !is_own(&metadata, sudo_user()) {
                return Err(untrusted(&path, Flaw::Owner(metadata.uid())));
            } else {
                links += 1;
                if links > LINKS {
                    return Err(failed(&path, Errno::ELOOP));
                }
                let target = readlinkat(&next, "").map_err(|e| failed(&path, e))?;
                self.turn(Path::new(&target))?;
            }
        }
        Ok(())
    }

    /// Opens a name in the directory, be it a link.
    fn look(&self, name: &OsStr, make: bool) -> nix::Result<OwnedFd> {
        let look = || openat(&self.directory, name, LOOK | OFlag::O_NOFOLLOW, Mode::empty());
        match look() {
            Err(Errno::ENOENT) if make => {}
            looked => return looked,
        }
        match mkdirat(&self.directory, name, Mode::from_bits_truncate(0o777)) {
            Ok(()) | Err(Errno::EEXIST) => look(),
            Err(e) => Err(e),
        }
    }

    fn enter(&mut self, name: &OsStr, path: PathBuf) -> Result<(), PathError> {
        let entered = openat(&self.directory, name, DIRECTORY, Mode::empty());
        self.directory = entered.map_err(|e| failed(&path, e))?;
        self.path = path;
        Ok(())
    }

    /// Goes on where a link leads to.
    fn turn(&mut self, target: &Path) -> Result<(), PathError> {
        let mut rest = names(target);
        rest.append(&mut self.rest);
        self.rest = rest;
        if target.is_absolute() {
            let root = open("/", DIRECTORY, Mode::empty());
            self.directory = root.map_err(|e| failed(Path::new("/"), e))?;
            self.path = "/".into();
        }
        Ok(())
    }
}

fn failed(path: &Path, cause: Errno) -> PathError {
    PathError::Io { path: path.to_path_buf(), cause: io::Error::from(cause) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    #[test]
    fn a_file_is_where_its_path_led() {
        let temporary = TempDir::new().unwrap();
        let top = temporary.path();
        make_directory(&top.join("a/b")).unwrap();
        make_directory(&top.join("a/b")).unwrap();
        symlink("../a/./b", top.join("a/link")).unwrap();
        symlink(top.join("a/link"), top.join("absolute")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        let place = Place::of(&top.join("absolute/../b/file")).unwrap();
        fs::rename(top.join("a"), top.join("c")).unwrap();
        fs::write(place.path(), "text").unwrap();
        assert_eq!(fs::read_to_string(top.join("c/b/file")).unwrap(), "text");
        for (path, expected) in
            [("loop/x", Errno::ELOOP), ("none/x", Errno::ENOENT), ("c/b/file/x", Errno::ENOTDIR)]
        {
            match Place::of(&top.join(path)).unwrap_err() {
                PathError::Io { cause, .. } => {
                    assert_eq!(cause.raw_os_error(), Some(expected as i32), "{path}");
                }
                other @ PathError::Untrusted(_) => panic!("{path}: {other}"),
            }
        }
        assert!(Place::of(Path::new("/proc/self/cwd/x")).is_ok());
        assert!(Place::of(Path::new("file")).is_ok());
    }
}
