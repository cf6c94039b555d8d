//! The logs that a command reads: files, the `trace.PID` files of `strace -ff`, stdin.

use crate::cli::io::failure::Failure;
use crate::event::{Event, Place, Tid};
use crate::text::{shown, UntrustedText};
use crate::trace::{Member, Reader};
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Room for reading ahead.
const BUFFER: usize = 256 * 1024;

/// The logs of one command line.
pub(crate) struct Inputs {
    files: Vec<PathBuf>,
    groups: Vec<Group>,
}

/// Files that are read together, by index.
enum Group {
    /// A log of its own.
    One(usize),
    /// The files of one `strace -ff`, each with the process id of its name.
    Family(Vec<(usize, Tid)>),
}

impl Inputs {
    /// Sorts the paths into logs and families. A path that does not exist, but of which there are
    /// `PATH.PID` files, means these: it is what strace was given.
    pub(crate) fn new(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for path in paths {
            if is_stdin(path) || path.exists() {
                files.push(path.clone());
                continue;
            }
            let members = family_of(path);
            if members.is_empty() {
                return Err(Failure::new(
                    format!("cannot read the log `{}`: no such file", shown(path)),
                    "give strace's output file: strace -f -o FILE CMD",
                ));
            }
            files.extend(members);
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut prefixes: Vec<(PathBuf, usize)> = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let Some((prefix, pid)) = split_pid(file) else {
                groups.push(Group::One(index));
                continue;
            };
            let known =
                prefixes.iter().find(|(p, _)| *p == prefix).and_then(|&(_, g)| groups.get_mut(g));
            if let Some(Group::Family(members)) = known {
                members.push((index, pid));
            } else {
                prefixes.push((prefix, groups.len()));
                groups.push(Group::Family(vec![(index, pid)]));
            }
        }
        Ok(Inputs { files, groups })
    }

    /// Reads all of them.
    pub(crate) fn read(
        &self,
        reader: &mut Reader,
        mut sink: impl FnMut(Event),
    ) -> Result<(), Failure> {
        let progress = Progress::new();
        for group in &self.groups {
            match group {
                Group::One(index) => {
                    let input =
                        self.open(*index, &progress).map_err(|e| self.unreadable(*index, &e))?;
                    reader
                        .read(number(*index), input, &mut sink)
                        .map_err(|e| self.unreadable(*index, &e))?;
                }
                Group::Family(members) => {
                    let list: Vec<Member> = members
                        .iter()
                        .map(|&(index, pid)| Member { file: number(index), pid })
                        .collect();
                    let mut opened = members.first().map_or(0, |m| m.0);
                    let mut open = |at: usize| {
                        opened = members.get(at).map_or(0, |m| m.0);
                        self.open(opened, &progress)
                    };
                    let outcome = reader.read_family(&list, &mut open, &mut sink);
                    outcome.map_err(|e| self.unreadable(opened, &e))?;
                }
            }
        }
        progress.clear();
        Ok(())
    }

    /// `file:line`.
    pub(crate) fn place(&self, place: Place) -> String {
        format!("{}:{}", self.file(place), place.line)
    }

    /// `file:line`, for programs.
    pub(crate) fn whole_place(&self, place: Place) -> String {
        format!("{}:{}", self.file_name(place).whole(), place.line)
    }

    /// The file of a place, for people.
    pub(crate) fn file(&self, place: Place) -> String {
        self.file_name(place).to_string()
    }

    /// The file of a place.
    pub(crate) fn file_name(&self, place: Place) -> UntrustedText {
        self.files
            .get(place.file as usize)
            .map_or_else(UntrustedText::default, |f| f.as_os_str().into())
    }

    fn open<'a>(&self, index: usize, progress: &'a Progress) -> io::Result<BufReader<Counted<'a>>> {
        let path = self.files.get(index).map_or(Path::new("-"), PathBuf::as_path);
        let source: Box<dyn Read> = if is_stdin(path) {
            Box::new(io::stdin().lock())
        } else {
            if path.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            Box::new(File::open(path)?)
        };
        Ok(BufReader::with_capacity(BUFFER, Counted { source, progress }))
    }

    fn unreadable(&self, index: usize, error: &io::Error) -> Failure {
        let path = self.file(Place { file: number(index), line: 0 });
        Failure::new(
            format!("cannot read the log `{path}`: {error}"),
            "give strace's output file, several of them, or `-` for stdin",
        )
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// `trace.1234` → `trace`, 1234.
fn split_pid(path: &Path) -> Option<(PathBuf, Tid)> {
    let digits = path.extension()?.to_str()?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let pid = plain.then(|| digits.parse().ok()).flatten()?;
    Some((path.with_extension(""), pid))
}

/// The existing `PATH.PID` files, by process id.
fn family_of(path: &Path) -> Vec<PathBuf> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut members: Vec<(Tid, PathBuf)> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let file = path.with_file_name(name);
            split_pid(&file).filter(|(prefix, _)| prefix == path).map(|(_, pid)| (pid, file))
        })
        .collect();
    members.sort();
    members.into_iter().map(|(_, file)| file).collect()
}

/// How much has been read, on a terminal only.
struct Progress {
    shown: bool,
    state: std::cell::Cell<(u64, Option<Instant>)>,
}

impl Progress {
    fn new() -> Self {
        Progress { shown: io::stderr().is_terminal(), state: std::cell::Cell::new((0, None)) }
    }

    fn add(&self, bytes: usize) {
        if !self.shown {
            return;
        }
        let (sum, last) = self.state.get();
        let sum = sum + bytes as u64;
        let now = Instant::now();
        let due = last.is_none_or(|l| now - l > Duration::from_millis(200));
        if due && last.is_some() {
            eprint!("\rread {} MiB ", sum >> 20);
        }
        self.state.set((sum, if due { Some(now) } else { last }));
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

/// A source whose bytes are counted.
struct Counted<'a> {
    source: Box<dyn Read>,
    progress: &'a Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.progress.add(n);
        Ok(n)
    }
}
