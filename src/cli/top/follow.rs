//! A file of events that grows, read as far as it is written.

use crate::explain::Violation;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What is read at the beginning of what was written before, and at a time of what is written
/// since.
const PIECE: u64 = 1 << 18;

/// No event is longer than this.
const LONGEST: usize = 1 << 16;

/// The file of `enforce --events`. It may come later, be cut, or give way to another of its name.
pub(super) struct Follower {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    identity: (u64, u64),
    at: u64,
    /// The beginning of a line that has no end yet.
    line: Vec<u8>,
    /// The line began before what was read, or was too long.
    skip: bool,
}

impl Follower {
    /// A follower, and the violations that the end of the file has already.
    pub(super) fn new(path: &Path) -> (Self, Vec<Violation>) {
        let mut follower = Follower { path: path.to_path_buf(), open: None };
        let Ok(mut open) = Open::new(path) else { return (follower, Vec::new()) };
        let length = open.file.metadata().map_or(0, |found| found.len());
        open.at = length.saturating_sub(PIECE);
        open.skip = open.at > 0;
        let earlier = open.read();
        follower.open = Some(open);
        (follower, earlier)
    }

    /// The violations that were written since, or the first of them: the rest comes next time.
    pub(super) fn read(&mut self) -> Vec<Violation> {
        let now = fs::metadata(&self.path).map(|found| ((found.dev(), found.ino()), found.len()));
        let mut found = self.open.as_mut().map(Open::read).unwrap_or_default();
        let Ok((identity, length)) = now else { return found };
        let stays = |open: &Open| open.identity == identity && open.at <= length;
        if !self.open.as_ref().is_some_and(stays) {
            self.open = Open::new(&self.path).ok();
            found.extend(self.open.as_mut().map(Open::read).unwrap_or_default());
        }
        found
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let identity = (found.dev(), found.ino());
        Ok(Open { file, identity, at: 0, line: Vec::new(), skip: false })
    }

    fn read(&mut self) -> Vec<Violation> {
        let mut piece = Vec::new();
        let outcome = self
            .file
            .seek(SeekFrom::Start(self.at))
            .and_then(|_| (&self.file).take(PIECE).read_to_end(&mut piece));
        if let Err(e) = outcome {
            tracing::debug!("cannot read events: {e}");
        }
        self.at += piece.len() as u64;
        let mut found = Vec::new();
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + part.len() <= LONGEST {
                self.line.extend(part);
            } else {
                self.skip = true;
            }
            if part.last() == Some(&b'\n') {
                if !self.skip {
                    found.extend(violation(&self.line));
                }
                self.line.clear();
                self.skip = false;
            }
        }
        found
    }
}

/// The violation, or the count of several, that a line is.
fn violation(line: &[u8]) -> Option<Violation> {
    Violation::parse_one_or_repeated(std::str::from_utf8(line).ok()?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use tempfile::TempDir;

    fn numbers(found: &[Violation]) -> Vec<u64> {
        found.iter().map(|event| event.pid.unwrap().into()).collect()
    }

    fn event(pid: u32) -> String {
        format!(
            "{{\"event\":\"violation\",\"reason\":\"abi\",\"action\":\"log\",\"policy\":\"/bin/p\",\
             \"context\":[],\"symbol\":\"@i386\",\"pid\":{pid}}}\n"
        )
    }

    #[test]
    fn what_is_written_is_read_once_and_in_whole_lines() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("events");
        let (mut follower, earlier) = Follower::new(&path);
        assert!(earlier.is_empty() && follower.read().is_empty());
        let mut file = File::create(&path).unwrap();
        let (first, second) = (event(1), event(2));
        write!(file, "{first}{{\"event\":\"start\"}}\nno JSON\n{}", &second[..20]).unwrap();
        assert_eq!(numbers(&follower.read()), [1]);
        assert!(follower.read().is_empty());
        write!(file, "{}", &second[20..]).unwrap();
        assert_eq!(numbers(&follower.read()), [2]);
        assert_eq!(numbers(&Follower::new(&path).1), [1, 2]);
    }

    #[test]
    fn a_file_that_is_cut_or_replaced_is_read_from_its_beginning() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("events");
        fs::write(&path, event(1) + &event(2)).unwrap();
        let (mut follower, earlier) = Follower::new(&path);
        assert_eq!(numbers(&earlier), [1, 2]);
        // As logrotate does it, in both ways.
        fs::write(&path, event(3)).unwrap();
        assert_eq!(numbers(&follower.read()), [3]);
        let mut old = File::options().append(true).open(&path).unwrap();
        fs::rename(&path, dir.path().join("events.1")).unwrap();
        old.write_all(event(4).as_bytes()).unwrap();
        fs::write(&path, event(5)).unwrap();
        assert_eq!(numbers(&follower.read()), [4, 5]);
    }

    #[test]
    fn no_line_is_kept_that_is_too_long() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("events");
        fs::write(&path, "x".repeat(3 * LONGEST) + &event(1) + &event(2)).unwrap();
        let (follower, earlier) = Follower::new(&path);
        assert_eq!(numbers(&earlier), [2]);
        assert!(follower.open.unwrap().line.capacity() <= 2 * LONGEST);
    }
}
