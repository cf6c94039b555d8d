//! Events as the journal keeps them: with a field for each thing that they tell
//! (systemd.journal-fields(7)), by its native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>). (Crates that speak it send to a fixed path, and
//! for as long as the journal pleases.)

use crate::cli::io::report;
use nix::sys::stat::fstat;
use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A kind of event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    event: &'static str,
    /// By which the journal finds all of a kind. It never changes.
    id: &'static str,
    priority: Priority,
}

/// How much it matters, as syslog counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Priority {
    Critical = 2,
    Error = 3,
    Warning = 4,
    Info = 6,
}

impl Kind {
    const fn new(event: &'static str, id: &'static str, priority: Priority) -> Self {
        Kind { event, id, priority }
    }

    pub(crate) const START: Kind =
        Kind::new("start", "ea7d5b9d92934156b37d5124e63d5ae1", Priority::Info);
    pub(crate) const RELOAD: Kind =
        Kind::new("reload", "e0566ac6734043f2bb4765ce7454fd59", Priority::Info);
    pub(crate) const REFUSED: Kind =
        Kind::new("reload", "1e1d502e46f841dbbaa20102ab8feb12", Priority::Error);
    pub(crate) const VIOLATION: Kind =
        Kind::new("violation", "2bfc3e960bda4f60abf432164f0c9674", Priority::Warning);
    pub(crate) const REPEATED: Kind =
        Kind::new("repeated", "9d74a04c87f24be6b61ad2e36a5fd0cb", Priority::Warning);
    pub(crate) const LEAVE: Kind =
        Kind::new("leave", "69a421a3f73c42089a364e2fa6b6f246", Priority::Info);
    pub(crate) const STOP: Kind =
        Kind::new("stop", "34b5e653466e4df1a2cee2a830b5471f", Priority::Info);

    /// The same, and it matters so much.
    pub(crate) const fn at(self, priority: Priority) -> Self {
        Kind { priority, ..self }
    }
}

/// An event, in the form that it is sent in.
pub(crate) struct Entry(Vec<u8>);

impl Entry {
    /// An event, in words.
    pub(crate) fn new(kind: Kind, message: &str) -> Self {
        let mut entry = Entry(Vec::new());
        entry
            .with("MESSAGE", message)
            .with("MESSAGE_ID", kind.id)
            .with("PRIORITY", kind.priority as u8)
            .with("SYSLOG_IDENTIFIER", "sysfsm")
            .with("SYSFSM_EVENT", kind.event);
        entry
    }

    /// Adds a field. Its name has capital letters, digits and underscores only.
    pub(crate) fn with(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        let value = value.to_string();
        self.0.extend(name.as_bytes());
        if value.contains('\n') {
            // Where a line ends is no end of such a value: how long it is comes first.
            self.0.push(b'\n');
            self.0.extend((value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend(value.as_bytes());
        self.0.push(b'\n');
        self
    }
}

/// How long the journal may keep the agent waiting.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long it is not asked again after it took nothing.
const REST: Duration = Duration::from_secs(1);

/// The journal.
pub(crate) struct Journal {
    socket: UnixDatagram,
    to: PathBuf,
    refused: Option<Instant>,
    told: bool,
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
        Ok(Journal { socket, to, refused: None, told: false })
    }

    /// Whether it took an event. Who has one that it did not take finds another place for it.
    pub(crate) fn takes(&mut self, entry: &Entry) -> bool {
        if self.refused.is_some_and(|at| at.elapsed() < REST) {
            return false;
        }
        let outcome = self.socket.send_to(&entry.0, &self.to);
        if let Err(e) = &outcome {
            if !std::mem::replace(&mut self.told, true) {
                report::warn(&format!("the journal takes no event: it is printed ({e})"), "");
            }
            // One that is too long says nothing of others.
            let too_long = e.raw_os_error() == Some(nix::libc::EMSGSIZE);
            self.refused = (!too_long).then(Instant::now);
        } else {
            (self.refused, self.told) = (None, false);
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
    use std::fs::File;
    use std::os::unix::fs::MetadataExt as _;
    use tempfile::TempDir;

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        bytes[..length].to_vec()
    }

    #[test]
    fn a_value_of_several_lines_says_how_long_it_is() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("journal");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(path).unwrap();
        let mut entry = Entry::new(Kind::LEAVE, "one\ntwo");
        entry.with("SYSFSM_COMM", "a=b\nPRIORITY=0").with("SYSFSM_PID", 7);
        assert!(journal.takes(&entry));
        let want = [
            b"MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\n".as_slice(),
            b"MESSAGE_ID=69a421a3f73c42089a364e2fa6b6f246\nPRIORITY=6\nSYSLOG_IDENTIFIER=sysfsm\n",
            b"SYSFSM_EVENT=leave\nSYSFSM_COMM\n\x0e\0\0\0\0\0\0\0a=b\nPRIORITY=0\nSYSFSM_PID=7\n",
        ];
        assert_eq!(received(&listener), want.concat());
    }

    #[test]
    fn a_journal_that_takes_nothing_keeps_nobody_and_is_asked_again() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("journal");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(path.clone()).unwrap();
        let entry = Entry::new(Kind::START, "x");
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
        assert!(!journal.takes(&Entry::new(Kind::START, &"x".repeat(16 << 20))));
        assert!(journal.takes(&Entry::new(Kind::START, "y")));
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
