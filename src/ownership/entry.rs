//! What is at a path where others may have put something: nothing of theirs is opened or followed.

use super::follow::{flaw, is_own, WRITABLE};
use nix::libc;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Whether what is at a path was put there by root or by the user of this process, or is a plain
/// file of who owns the directory. Nothing may be there.
///
/// # Errors
/// The path cannot be looked at.
pub fn is_own_entry(path: &Path) -> io::Result<bool> {
    let directory = fs::metadata(directory_of(path))?;
    let entry = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        entry => entry?,
    };
    Ok(if flaw(&directory, WRITABLE, None).is_none() {
        true
    } else if entry.is_file() {
        // Others may have made the second name of a file of ours.
        (is_own(&entry, None) || entry.uid() == directory.uid()) && entry.nlink() == 1
    } else {
        is_own(&entry, None) && is_own(&directory, None)
    })
}

/// Opens what is at a path; `None` if others have put it there, or put it there just now. A link is
/// followed only if it is our own.
///
/// # Errors
/// Nothing is there, or it cannot be opened.
pub fn open_own_entry(path: &Path, options: &mut OpenOptions) -> io::Result<Option<File>> {
    let before = fs::symlink_metadata(path)?;
    if !is_own_entry(path)? {
        return Ok(None);
    }
    if before.is_symlink() {
        return options.open(path).map(Some);
    }
    if before.is_file() {
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    let after = file.metadata()?;
    let same = (before.dev(), before.ino()) == (after.dev(), after.ino());
    Ok(same.then_some(file))
}

/// The directory that a path's last name is in.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
