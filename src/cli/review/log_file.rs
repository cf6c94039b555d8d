//! The file of a review log: `enforce --learn-to` adds to it while `review` decides, so each reads,
//! changes and replaces it under a lock. The lock is a file beside it, since the log itself is
//! replaced.

use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::ownership::{directory_of, open_own_entry, PathError, Place};
use crate::review::{self, DepthMismatch, ReviewLog};
use crate::text::shown;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::unistd::{fchown, geteuid, Uid};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long another may hold the lock: it takes it for a moment only.
const PATIENCE: Duration = Duration::from_secs(2);

impl From<DepthMismatch> for Failure {
    fn from(error: DepthMismatch) -> Self {
        Failure::new(error.to_string(), error.hint())
    }
}

/// Reads a review log; none if there is no such file.
pub(crate) fn read(file: &Path) -> Result<Option<ReviewLog>, Failure> {
    let name = shown(&file);
    let place = match Place::of(file) {
        Err(PathError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        place => place.map_err(|e| Failure::placing(&name.to_string(), &e))?,
    };
    let text = match open_own_entry(place.path(), File::options().read(true)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(None) => {
            return Err(Failure::new(
                format!("another user has put the review log `{name}` there"),
                format!("copy it to a directory that only you can write, or: rm {name}"),
            ));
        }
        Ok(Some(mut open)) => {
            let mut text = Vec::new();
            open.read_to_end(&mut text).map(|_| text)
        }
        Err(e) => Err(e),
    };
    let text = text.map_err(|e| {
        Failure::new(
            format!("cannot read the review log `{name}`: {e}"),
            "give the file of `enforce --log-only --learn-to FILE`",
        )
    })?;
    review::parse(&text).map(Some).map_err(|e| Failure::new(format!("{name}: {}", e.what), e.hint))
}

/// Changes what is in the file, from nothing if there is none yet. It is left alone if it stays the
/// same.
pub(crate) fn update(
    file: &Path,
    change: impl FnOnce(&mut ReviewLog) -> Result<(), DepthMismatch>,
) -> Result<(), Failure> {
    let _lock = lock(file)?;
    let before = read(file)?;
    let mut log = before.clone().unwrap_or_default();
    change(&mut log).map_err(|e| {
        let failure = Failure::from(e);
        failure.within(&shown(&file).to_string())
    })?;
    if before.as_ref() == Some(&log) {
        return Ok(());
    }
    output::write(file, &log.to_json())
}

/// The lock of a review log: a file of its own, which is there for as long as it is locked, and
/// which nobody but its owner and root can open. Whoever may read a directory may lock that.
struct Lock {
    place: Place,
    _lock: Flock<File>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked: whoever waits for it finds that it has gone, and makes another one.
        drop(fs::remove_file(self.place.path()));
    }
}

/// Why a lock was not taken.
enum NotLocked {
    /// Another process has it, or has just removed it.
    Busy,
    /// Another user has put something in its place, and can keep it locked.
    Foreign,
    Failed(io::Error),
}

fn lock(file: &Path) -> Result<Lock, Failure> {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".lock");
    let path = file.with_file_name(name);
    let place = Place::of(&path).map_err(|e| Failure::placing(&shown(&file).to_string(), &e))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let failed = match try_lock(place.path()) {
            Ok(lock) => return Ok(Lock { place, _lock: lock }),
            Err(NotLocked::Busy) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            Err(NotLocked::Busy) => "another process holds it (flock)".into(),
            Err(NotLocked::Foreign) => "another user has put it there".into(),
            Err(NotLocked::Failed(e)) => e.to_string(),
        };
        let lock = shown(&path);
        return Err(Failure::new(
            format!("cannot lock `{}` by `{lock}`: {failed}", shown(&file)),
            format!("end the other process, or remove the lock: rm {lock}"),
        ));
    }
}

fn try_lock(path: &Path) -> Result<Flock<File>, NotLocked> {
    let directory = fs::metadata(directory_of(path)).map_err(NotLocked::Failed)?;
    let made = File::options().write(true).create_new(true).mode(0o600).open(path);
    let open = match made {
        Ok(made) => {
            // A log in somebody's directory is theirs to review.
            if geteuid().is_root() && directory.uid() != 0 {
                let owner = Uid::from_raw(directory.uid());
                fchown(&made, Some(owner), None).map_err(|e| NotLocked::Failed(e.into()))?;
            }
            made
        }
        Err(e) if e.kind() == ErrorKind::AlreadyExists => open_lock(path)?,
        Err(e) => return Err(NotLocked::Failed(e)),
    };
    let found = open.metadata().map_err(NotLocked::Failed)?;
    // Who owns the directory can do with the log whatever they like.
    let owners = [0, geteuid().as_raw(), directory.uid()];
    if !found.is_file() || !owners.contains(&found.uid()) || found.mode() & 0o077 != 0 {
        return Err(NotLocked::Foreign);
    }
    let lock = Flock::lock(open, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| match e {
        Errno::EWOULDBLOCK | Errno::EINTR => NotLocked::Busy,
        e => NotLocked::Failed(e.into()),
    })?;
    let there = fs::symlink_metadata(path)
        .is_ok_and(|there| (there.dev(), there.ino()) == (found.dev(), found.ino()));
    if there {
        Ok(lock)
    } else {
        Err(NotLocked::Busy)
    }
}

/// Opens a lock that is there.
fn open_lock(path: &Path) -> Result<File, NotLocked> {
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path).map_err(|e| match e.raw_os_error() {
        // It was just removed.
        Some(libc::ENOENT) => NotLocked::Busy,
        // A link, a directory, a FIFO without a reader.
        Some(libc::ELOOP | libc::EISDIR | libc::ENXIO) => NotLocked::Foreign,
        _ => NotLocked::Failed(e),
    })
}
