//! Directories of policies, watched for changes.

use crate::cli::io::failure::Failure;
use crate::text::shown;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A change is reported when nothing has changed for this long: whoever copies files copies
/// several.
const CALM: Duration = Duration::from_millis(200);

/// The watched directories.
pub(crate) struct Directories {
    inotify: Inotify,
    last: Option<Instant>,
}

impl Directories {
    /// Watches the paths that are directories. Of a single file nobody but its writer knows when it
    /// is complete.
    pub(crate) fn watch(paths: &[PathBuf]) -> Result<Self, Failure> {
        let failed = |what: String, e: Errno| {
            Failure::new(
                format!("cannot watch {what}: {e}"),
                "the limit fs.inotify.max_user_instances or max_user_watches may be reached",
            )
        };
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .map_err(|e| failed("directories".into(), e))?;
        // A file that is written counts when it is closed. A ConfigMap's files are links, which are
        // renamed.
        let events = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CREATE;
        for directory in paths.iter().filter(|path| path.is_dir()) {
            inotify
                .add_watch(directory, events)
                .map_err(|e| failed(format!("the directory `{}`", shown(&directory)), e))?;
        }
        Ok(Directories { inotify, last: None })
    }

    /// Whether there was a change that was not reported yet, and nothing has changed since for
    /// [`CALM`].
    pub(crate) fn changed(&mut self) -> bool {
        while let Ok(events) = self.inotify.read_events() {
            let counts = |name: &str| {
                Path::new(name).extension().is_some_and(|end| end == "json")
                    || name.starts_with("..")
            };
            let relevant = |event: &nix::sys::inotify::InotifyEvent| {
                // The kernel does not say which events were lost.
                event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)
                    || event.name.as_ref().is_some_and(|name| counts(&name.to_string_lossy()))
            };
            if events.iter().any(relevant) {
                self.last = Some(Instant::now());
            }
        }
        self.last.take_if(|last| last.elapsed() >= CALM).is_some()
    }
}
