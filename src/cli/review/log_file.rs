//! The file of a review log: `enforce --learn-to` adds to it while `review` decides, so each reads,
//! changes and replaces it under a lock. The lock is on its directory, since the file itself is
//! replaced.

use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::review::{self, DepthMismatch, ReviewLog};
use crate::text::shown;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io::ErrorKind;
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
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            return Err(Failure::new(
                format!("cannot read the review log `{name}`: {e}"),
                "give the file of `enforce --log-only --learn-to FILE`",
            ))
        }
    };
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

fn lock(file: &Path) -> Result<Flock<File>, Failure> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut open =
        File::open(directory).map_err(|e| Failure::writing(&shown(&file).to_string(), &e))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Flock::lock(open, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < deadline => {
                open = back;
            }
            Err((_, e)) => {
                return Err(Failure::new(
                    format!("cannot lock the directory of `{}`: {e}", shown(&file)),
                    "does another process hold it (flock)?",
                ))
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
