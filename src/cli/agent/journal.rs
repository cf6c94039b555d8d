//! The journal's socket. Crates that speak its protocol send to a fixed path, and wait for as long
//! as the journal pleases.

use crate::cli::events::event::Event;
use crate::cli::events::journald;
use crate::cli::io::report;
use nix::sys::stat::fstat;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long the journal may keep the agent waiting.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long it is not asked again after it took nothing.
const REST: Duration = Duration::from_secs(1);

/// The journal.
pub(crate) struct Journal {
    socket: UnixDatagram,
    to: PathBuf,
    refused: Option<Instant>,
    /// That it takes nothing was said.
    warned: bool,
}

impl Journal {
    /// Where it listens.
    const SOCKET: &'static str = "/run/systemd/journal/socket";
    /// What says that it listens elsewhere, in tests.
    const ELSEWHERE: &'static str = "SYSFSM_JOURNAL";

    pub(crate) fn open() -> io::Result<Self> {
        Journal::at(
            std::env::var_os(Self::ELSEWHERE).map_or_else(|| Self::SOCKET.into(), PathBuf::from),
        )
    }

    fn at(to: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Journal { socket, to, refused: None, warned: false })
    }

    /// Whether it took an event. Who has one that it did not take finds another place for it.
    pub(crate) fn takes(&mut self, event: &Event) -> bool {
        if self.refused.is_some_and(|at| at.elapsed() < REST) {
            return false;
        }
        let outcome = self.socket.send_to(&journald::entry(event), &self.to);
        if let Err(e) = &outcome {
            if !std::mem::replace(&mut self.warned, true) {
                report::warn(&format!("the journal takes no event: it is printed ({e})"), "");
            }
            // One that is too long says nothing of others.
            let too_long = e.raw_os_error() == Some(nix::libc::EMSGSIZE);
            self.refused = (!too_long).then(Instant::now);
        } else {
            (self.refused, self.warned) = (None, false);
        }
        outcome.is_ok()
    }
}

/// Whether what is written there goes to the journal (`JOURNAL_STREAM` in systemd.exec(5)).
pub(crate) fn receives(descriptor: impl AsFd) -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stream(descriptor, &stream))
}

fn is_stream(descriptor: impl AsFd, stream: &str) -> bool {
    fstat(descriptor).is_ok_and(|found| stream == format!("{}:{}", found.st_dev, found.st_ino))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::cli::events::event::Kind;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt as _;
    use tempfile::TempDir;

    fn event(message: &str) -> Event {
        Event::new(Kind::Start).saying(message)
    }

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    #[test]
    fn a_journal_that_takes_nothing_keeps_nobody_and_is_asked_again() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("journal");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(path.clone()).unwrap();
        let entry = event("x");
        // Nobody reads: it is full some time, and then one event waits.
        let begun = Instant::now();
        while journal.takes(&entry) {
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        let full = Instant::now();
        assert!((0..1000).all(|_| !journal.takes(&entry)) || full.elapsed() >= REST);
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        let listener = UnixDatagram::bind(&path).unwrap();
        std::thread::sleep(REST);
        assert!(journal.takes(&entry));
        assert!(received(&listener).starts_with(b"MESSAGE=x\n"));
    }

    #[test]
    fn one_that_is_too_long_is_not_taken_and_the_next_is() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("journal");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(path).unwrap();
        assert!(!journal.takes(&event(&"x".repeat(16 << 20))));
        assert!(journal.takes(&event("y")));
        assert!(received(&listener).starts_with(b"MESSAGE=y\n"));
    }

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        let dir = TempDir::new().unwrap();
        let file = File::create(dir.path().join("stream")).unwrap();
        let found = file.metadata().unwrap();
        assert!(is_stream(&file, &format!("{}:{}", found.dev(), found.ino())));
        for other in [format!("{}:{}", found.dev(), found.ino() + 1), String::new(), "1".into()] {
            assert!(!is_stream(&file, &other), "{other}");
        }
    }
}
