//! What a reading finds besides the events: counts, lines that were not understood, warnings.

use crate::event::Place;
use std::fmt;

/// A kind of line that was not understood and is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetAside {
    /// A line that is none of strace's, such as the traced program's own output.
    Junk,
    /// A line that ends before its call does.
    Cut,
    /// A call's second half without its first.
    NoBeginning,
    /// A call whose name the table does not have.
    UnknownCall,
    /// A line over the limit, of which the part that was kept is not understood.
    TooLong,
}

impl SetAside {
    /// All kinds, in the order of the report.
    pub const ALL: [SetAside; 5] = [
        SetAside::Junk,
        SetAside::Cut,
        SetAside::NoBeginning,
        SetAside::UnknownCall,
        SetAside::TooLong,
    ];

    /// What the user can try.
    #[must_use]
    pub fn hint(self) -> String {
        match self {
            SetAside::Junk => "let strace write to a file of its own: strace -f -o FILE",
            SetAside::Cut => {
                "the log's end, or a part of it, is missing: was strace killed, or the disk full?"
            }
            SetAside::NoBeginning => {
                "the log's beginning, or a part of it, is missing: give the whole log"
            }
            SetAside::UnknownCall => {
                "the header may be older than the log's kernel: build with SYSFSM_UNISTD set to \
                 a newer unistd_64.h"
            }
            SetAside::TooLong => "is this a log of strace?",
        }
        .into()
    }
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetAside::Junk => "line that is not strace's",
            SetAside::Cut => "cut line",
            SetAside::NoBeginning => "resumed call without its beginning",
            SetAside::UnknownCall => "unknown system call",
            SetAside::TooLong => "line over the limit",
        })
    }
}

/// How often something was seen, and where it was seen first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Occurrences {
    /// How often.
    pub count: u64,
    /// The first three places where it was seen.
    pub first: Vec<Place>,
}

impl Occurrences {
    pub(crate) fn add(&mut self, place: Place) {
        self.count += 1;
        if self.first.len() < 3 {
            self.first.push(place);
        }
    }
}

/// A reason why a log teaches less than it seems to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The log has no system call.
    NoCalls {
        /// The log's index.
        file: u32,
    },
    /// The log is a summary (`-c`) and nothing else.
    SummaryOnly {
        /// The log's index.
        file: u32,
    },
    /// No program starts in the log, so that the calls' binary is not known.
    NoExec {
        /// The log's index.
        file: u32,
    },
    /// Threads exited without an exit call.
    Filtered {
        /// How many, and the first ones.
        threads: Occurrences,
    },
    /// A long log has no failed call.
    NoFailures {
        /// The log's index.
        file: u32,
        /// The number of its calls.
        calls: u64,
    },
    /// Programs start in the log, and none gets memory. The C library gets memory before `main`.
    NoMemory {
        /// The log's index.
        file: u32,
        /// The number of its calls.
        calls: u64,
    },
    /// Children were made, and the log does not have their calls.
    ChildrenMissing {
        /// The calls that made the children.
        children: Occurrences,
    },
    /// The log has calls of the 32-bit table.
    ThirtyTwoBit {
        /// How many, and the first ones.
        calls: Occurrences,
    },
    /// The parents of some children were guessed.
    GuessedParents {
        /// How many, and the first ones.
        children: Occurrences,
    },
    /// Some resumed calls have no beginning.
    NoBeginning {
        /// How many, and the first ones.
        calls: Occurrences,
    },
    /// Some execs do not say of which binary.
    NamelessExecs {
        /// How many, and the first ones.
        execs: Occurrences,
    },
}

impl Warning {
    /// The index of the log, if the warning is about one log.
    #[must_use]
    pub fn file(&self) -> Option<u32> {
        match *self {
            Warning::NoCalls { file }
            | Warning::SummaryOnly { file }
            | Warning::NoExec { file }
            | Warning::NoFailures { file, .. }
            | Warning::NoMemory { file, .. } => Some(file),
            _ => None,
        }
    }

    /// What the user can do about the warning.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Warning::NoCalls { .. } => "give a log that strace wrote: strace -f -o FILE CMD",
            Warning::SummaryOnly { .. } => "trace without -c (or with -C, which prints both)",
            Warning::NoExec { .. } => {
                "let strace start the program (strace -f -o FILE CMD), or name the binary with \
                 --binary"
            }
            Warning::Filtered { .. } | Warning::NoMemory { .. } => {
                "trace every call: without -e trace=, -e status= and -z"
            }
            Warning::NoFailures { .. } => "was it traced with -z or -e status=? trace without them",
            Warning::ChildrenMissing { .. } => {
                "trace with -f, and give all the files of one -ff together"
            }
            Warning::ThirtyTwoBit { .. } => {
                "a policy holds calls of the 64-bit table only: trace a 64-bit program"
            }
            Warning::GuessedParents { .. } => "use one file a thread: strace -ff -o FILE",
            Warning::NoBeginning { .. } => "give the whole log, from its beginning",
            Warning::NamelessExecs { .. } => {
                "trace with -y, which shows the file of an execveat, and without -e raw=execve"
            }
        }
        .into()
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |n: u64, one: &'static str, more: &'static str| if n == 1 { one } else { more };
        match self {
            Warning::NoCalls { .. } => {
                f.write_str("no system call found: this is no log of strace")
            }
            Warning::SummaryOnly { .. } => {
                f.write_str("only a summary (-c) found, no system calls")
            }
            Warning::NoExec { .. } => {
                f.write_str("no successful exec found: whose calls these are is not known")
            }
            Warning::Filtered { threads } => write!(
                f,
                "{} {} without an exit call: the log seems to be filtered",
                threads.count,
                many(threads.count, "thread exited", "threads exited")
            ),
            Warning::NoFailures { calls, .. } => {
                write!(f, "none of {calls} calls failed: the log seems to be filtered")
            }
            Warning::NoMemory { calls, .. } => {
                write!(f, "none of {calls} calls is brk or mmap: the log seems to be filtered")
            }
            Warning::ChildrenMissing { children } => write!(
                f,
                "{} {} made, but {} calls are not in the log",
                children.count,
                many(children.count, "child was", "children were"),
                many(children.count, "its", "their")
            ),
            Warning::ThirtyTwoBit { calls } => {
                write!(
                    f,
                    "{} 32-bit {} not learned",
                    calls.count,
                    many(calls.count, "call is", "calls are")
                )
            }
            Warning::GuessedParents { children } => write!(
                f,
                "the parent of {} {} was guessed",
                children.count,
                many(children.count, "child", "children")
            ),
            Warning::NoBeginning { calls } => write!(
                f,
                "{} resumed {} no beginning",
                calls.count,
                many(calls.count, "call has", "calls have")
            ),
            Warning::NamelessExecs { execs } => write!(
                f,
                "{} {} not say of which binary: the calls after {} are not learned",
                execs.count,
                many(execs.count, "exec does", "execs do"),
                many(execs.count, "it", "them")
            ),
        }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The number of lines.
    pub lines: u64,
    /// The number of calls of the 64-bit table.
    pub calls: u64,
    /// The number of threads. An id that comes again for another thread counts again.
    pub threads: u64,
    /// The lines that were set aside, by kind, in the order of [`SetAside::ALL`]. Kinds that were
    /// not seen are left out.
    pub set_aside: Vec<(SetAside, Occurrences)>,
    /// The warnings. A warning about one log comes at most once a log, any other one at most once.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// The number of lines that were set aside.
    #[must_use]
    pub fn set_aside_count(&self) -> u64 {
        self.set_aside.iter().map(|(_, occurrences)| occurrences.count).sum()
    }

    pub(crate) fn set_aside(&mut self, kind: SetAside, place: Place) {
        let at = match self.set_aside.binary_search_by_key(&kind, |&(k, _)| k) {
            Ok(at) => at,
            Err(at) => {
                self.set_aside.insert(at, (kind, Occurrences::default()));
                at
            }
        };
        if let Some((_, occurrences)) = self.set_aside.get_mut(at) {
            occurrences.add(place);
        }
    }

    /// Counts one more case of a warning that is given once for all logs.
    pub(crate) fn warn(&mut self, case: WarningKind, place: Place) {
        let found = self.warnings.iter_mut().find_map(|w| match (case, w) {
            (WarningKind::Filtered, Warning::Filtered { threads: t })
            | (WarningKind::ChildMissing, Warning::ChildrenMissing { children: t })
            | (WarningKind::ThirtyTwoBit, Warning::ThirtyTwoBit { calls: t })
            | (WarningKind::GuessedParent, Warning::GuessedParents { children: t })
            | (WarningKind::NoBeginning, Warning::NoBeginning { calls: t })
            | (WarningKind::NamelessExec, Warning::NamelessExecs { execs: t }) => Some(t),
            _ => None,
        });
        if let Some(occurrences) = found {
            occurrences.add(place);
            return;
        }
        let occurrences = Occurrences { count: 1, first: vec![place] };
        self.warnings.push(match case {
            WarningKind::Filtered => Warning::Filtered { threads: occurrences },
            WarningKind::ChildMissing => Warning::ChildrenMissing { children: occurrences },
            WarningKind::ThirtyTwoBit => Warning::ThirtyTwoBit { calls: occurrences },
            WarningKind::GuessedParent => Warning::GuessedParents { children: occurrences },
            WarningKind::NoBeginning => Warning::NoBeginning { calls: occurrences },
            WarningKind::NamelessExec => Warning::NamelessExecs { execs: occurrences },
        });
    }
}

/// The warnings that count their cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WarningKind {
    Filtered,
    ChildMissing,
    ThirtyTwoBit,
    GuessedParent,
    NoBeginning,
    NamelessExec,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_the_house_style() {
        let t = Occurrences { count: 2, first: vec![] };
        let all = [
            Warning::NoCalls { file: 0 },
            Warning::SummaryOnly { file: 0 },
            Warning::NoExec { file: 0 },
            Warning::Filtered { threads: t.clone() },
            Warning::NoFailures { file: 0, calls: 300 },
            Warning::NoMemory { file: 0, calls: 20 },
            Warning::ChildrenMissing { children: t.clone() },
            Warning::ThirtyTwoBit { calls: t.clone() },
            Warning::GuessedParents { children: t.clone() },
            Warning::NoBeginning { calls: t.clone() },
            Warning::NamelessExecs { execs: t },
        ];
        let texts = all.iter().flat_map(|w| [w.to_string(), w.hint()]);
        for text in texts.chain(SetAside::ALL.iter().flat_map(|s| [s.to_string(), s.hint()])) {
            assert!(!text.is_empty() && !text.ends_with('.'), "{text}");
            assert!(!text.starts_with(|c: char| c.is_uppercase()), "{text}");
        }
    }

    #[test]
    fn occurrences_keep_the_first_three_places() {
        let mut report = Report::default();
        for line in 1..=5 {
            report.set_aside(SetAside::Junk, Place { file: 0, line });
            report.warn(WarningKind::Filtered, Place { file: 0, line });
        }
        report.set_aside(SetAside::Cut, Place::default());
        assert_eq!(report.set_aside_count(), 6);
        assert_eq!(
            report.set_aside.first().map(|(k, t)| (*k, t.count, t.first.len())),
            Some((SetAside::Junk, 5, 3))
        );
        assert_eq!(report.warnings.len(), 1);
    }
}
