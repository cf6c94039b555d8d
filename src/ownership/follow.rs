//! Following a path only where nobody else can change what it leads to.

use crate::text::{shown, Shown};
use nix::libc;
use nix::unistd::{geteuid, Uid};
use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// The most links of a path, as in the kernel (`MAXSYMLINKS`).
pub(super) const LINKS: usize = 40;

/// Bits of a file's mode: the group or others may write; they may do anything.
pub(super) const WRITABLE: u32 = 0o022;
const ACCESSIBLE: u32 = 0o077;
/// In a directory with this bit only the owner of a file, or of the directory, may rename or remove
/// the file.
const STICKY: u32 = 0o1000;

/// Why a path is not followed.
#[derive(Debug, Error)]
pub enum PathError {
    /// The path leads nowhere, or cannot be looked at.
    #[error("cannot look at `{}`: {cause}", shown(path))]
    Io {
        /// As far as the path could be followed.
        path: PathBuf,
        /// Why not further.
        cause: io::Error,
    },
    /// Others could change what the path leads to.
    #[error("{0}")]
    Untrusted(Untrusted),
}

/// A file, a directory or a link that others than root and the user of this process could change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", self.sentence())]
pub struct Untrusted {
    /// Its path.
    pub path: PathBuf,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It belongs to this user.
    Owner(u32),
    /// The group, or everybody, may write it. These are its permissions.
    Writable(u32),
    /// Others may read it, or list it. These are its permissions.
    Readable(u32),
    /// It is a link.
    Link,
}

impl Untrusted {
    fn sentence(&self) -> String {
        let path = shown(&self.path);
        match self.flaw {
            Flaw::Owner(user) => format!("`{path}` belongs to user {user}, who can change it"),
            Flaw::Writable(mode) => format!("others may write `{path}` (mode {mode:04o})"),
            Flaw::Readable(mode) => format!("others may look into `{path}` (mode {mode:04o})"),
            Flaw::Link => format!("`{path}` is a link"),
        }
    }

    /// The command that mends it.
    #[must_use]
    pub fn command(&self) -> String {
        let path: Shown<'_> = shown(&self.path);
        match self.flaw {
            Flaw::Owner(_) => format!("chown -h root {path}"),
            Flaw::Writable(_) => format!("chmod go-w {path}"),
            Flaw::Readable(_) => format!("chmod 0700 {path}"),
            Flaw::Link => format!("rm {path}"),
        }
    }
}

/// Where a path leads.
#[derive(Debug)]
pub struct Found {
    /// The path, without links.
    pub path: PathBuf,
    metadata: Metadata,
    /// Whose files count as this process's own, too.
    trusted: Option<Uid>,
}

impl Found {
    /// An open file, whose path this is.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn open(path: &Path, file: &File) -> io::Result<Self> {
        Ok(Found { path: path.to_path_buf(), metadata: file.metadata()?, trusted: None })
    }

    /// Requires that nobody else may write the file, or add to the directory.
    ///
    /// # Errors
    /// Others may.
    pub fn require_own(&self) -> Result<(), PathError> {
        self.require(WRITABLE)
    }

    /// Requires that nobody else may do anything with the directory.
    ///
    /// # Errors
    /// Others may.
    pub fn require_private(&self) -> Result<(), PathError> {
        self.require(ACCESSIBLE)
    }

    fn require(&self, denied: u32) -> Result<(), PathError> {
        match flaw(&self.metadata, denied, self.trusted) {
            Some(flaw) => Err(untrusted(&self.path, flaw)),
            None => Ok(()),
        }
    }
}

pub(super) fn untrusted(path: &Path, flaw: Flaw) -> PathError {
    PathError::Untrusted(Untrusted { path: path.to_path_buf(), flaw })
}

/// Whether a file belongs to root, to the user of this process, or to another one who is trusted.
pub(super) fn is_own(metadata: &Metadata, trusted: Option<Uid>) -> bool {
    let owner = Uid::from_raw(metadata.uid());
    owner.is_root() || owner == geteuid() || Some(owner) == trusted
}

/// What is wrong with a file, if others must not have these rights to it.
pub(super) fn flaw(metadata: &Metadata, denied: u32, trusted: Option<Uid>) -> Option<Flaw> {
    let mode = metadata.permissions().mode() & 0o7777;
    if !is_own(metadata, trusted) {
        Some(Flaw::Owner(metadata.uid()))
    } else if mode & denied & WRITABLE != 0 {
        Some(Flaw::Writable(mode))
    } else if mode & denied != 0 {
        Some(Flaw::Readable(mode))
    } else {
        None
    }
}

/// The user who has become root by sudo: who can do as root everything that is allowed there, so
/// that what belongs to that user is as good as root's.
#[must_use]
pub fn sudo_user() -> Option<Uid> {
    let user = || env::var("SUDO_UID").ok()?.parse().ok().map(Uid::from_raw);
    if geteuid().is_root() {
        user()
    } else {
        None
    }
}

/// Follows a path to its end, where anything may be. Whoever cannot change the directories and
/// links on the way cannot make it lead elsewhere afterwards.
///
/// # Errors
/// The path leads nowhere, or others could make it lead elsewhere.
pub fn follow(path: &Path) -> Result<Found, PathError> {
    follow_trusting(path, None)
}

/// Does what [`follow`] does, and takes the files of one more user for this process's own.
///
/// # Errors
/// Those of [`follow`].
pub fn follow_trusting(path: &Path, trusted: Option<Uid>) -> Result<Found, PathError> {
    let look = |path: &Path| {
        fs::symlink_metadata(path)
            .map_err(|cause| PathError::Io { path: path.to_path_buf(), cause })
    };
    let absolute = std::path::absolute(path)
        .map_err(|cause| PathError::Io { path: path.to_path_buf(), cause })?;
    let mut rest = names(&absolute);
    let mut found = Found { path: PathBuf::from("/"), metadata: look(Path::new("/"))?, trusted };
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            let path = found.path.parent().unwrap_or(Path::new("/")).to_path_buf();
            found = Found { metadata: look(&path)?, path, trusted };
            continue;
        }
        // Of a directory with the sticky bit, where others may write, entries of their own only.
        let mode = found.metadata.permissions().mode();
        let shared = found.metadata.is_dir() && mode & WRITABLE != 0 && mode & STICKY != 0;
        if !shared {
            found.require_own()?;
        } else if !is_own(&found.metadata, trusted) {
            return Err(untrusted(&found.path, Flaw::Owner(found.metadata.uid())));
        }
        let path = found.path.join(&name);
        let metadata = look(&path)?;
        if shared && !is_own(&metadata, trusted) {
            return Err(untrusted(&path, Flaw::Owner(metadata.uid())));
        }
        if !metadata.is_symlink() {
            found = Found { path, metadata, trusted };
            continue;
        }
        links += 1;
        let target = fs::read_link(&path).and_then(|target| {
            let too_many = || io::Error::from_raw_os_error(libc::ELOOP);
            if links > LINKS {
                Err(too_many())
            } else {
                Ok(target)
            }
        });
        let target = target.map_err(|cause| PathError::Io { path, cause })?;
        if target.is_absolute() {
            found = Found { path: PathBuf::from("/"), metadata: look(Path::new("/"))?, trusted };
        }
        let mut names = names(&target);
        names.append(&mut rest);
        rest = names;
    }
    Ok(found)
}

/// The names of a path, without the root directory.
pub(super) fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_os_string())
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn flaw_of(path: &Path) -> Option<(PathBuf, String)> {
        match follow(path).and_then(|found| found.require_own()) {
            Err(PathError::Untrusted(untrusted)) => {
                Some((untrusted.path.clone(), untrusted.command()))
            }
            other => {
                other.unwrap();
                None
            }
        }
    }

    #[test]
    fn a_path_is_followed_where_nobody_else_can_change_it() {
        let temporary = TempDir::new().unwrap();
        let top = temporary.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/file"), "").unwrap();
        symlink("../a/./b", top.join("a/link")).unwrap();
        symlink(top.join("a/link"), top.join("absolute")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        for path in ["a/b/file", "a/link/file", "absolute/file", "absolute/../b/file"] {
            let found = follow(&top.join(path)).unwrap();
            assert_eq!(found.path, top.join("a/b/file"), "{path}");
            found.require_own().unwrap();
        }
        let looped = follow(&top.join("loop")).unwrap_err();
        assert!(matches!(looped, PathError::Io { .. }), "{looped}");
        assert!(matches!(follow(&top.join("a/none")).unwrap_err(), PathError::Io { .. }));

        // Whoever may write the directory may put something else there, unless it is sticky.
        mode(&top.join("a"), 0o775);
        for path in ["a/b/file", "a/link/file", "absolute/file"] {
            let command = format!("chmod go-w {}", top.join("a").display());
            assert_eq!(flaw_of(&top.join(path)), Some((top.join("a"), command)), "{path}");
        }
        mode(&top.join("a"), 0o1777);
        assert_eq!(flaw_of(&top.join("absolute/file")), None);
        assert_eq!(flaw_of(&top.join("a")).unwrap().0, top.join("a"), "others may add to it");
        mode(&top.join("a"), 0o700);
        mode(&top.join("a/b/file"), 0o620);
        assert_eq!(flaw_of(&top.join("a/b/file")).unwrap().0, top.join("a/b/file"));
        mode(&top.join("a/b/file"), 0o644);
        assert_eq!(flaw_of(&top.join("a/b/file")), None);
        let private = follow(&top.join("a/b/file")).unwrap().require_private().unwrap_err();
        assert!(private.to_string().contains("look into"), "{private}");
    }
}
