//! What a reading found out besides the events: counts, what was not understood, warnings.

use crate::event::Place;
use std::fmt;

/// A kind of line that fits nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetAside {
    /// The traced program's own output, a shell's prompt, anything.
    Junk,
    /// A line that ends before its call does.
    Cut,
    /// A call's second half without its first.
    NoBeginning,
    /// A call whose name the table does not have.
    UnknownCall,
    /// A line over the limit, of which what was kept fits nothing.
    TooLong,
}

impl SetAside {
    /// All of them, in the order of the report.
    pub const ALL: [SetAside; 5] = [
        SetAside::Junk,
        SetAside::Cut,
        SetAside::NoBeginning,
        SetAside::UnknownCall,
        SetAside::TooLong,
    ];

    /// What to try, where something can be tried.
    #[must_use]
    pub fn hint(self) -> String {
        match self {
            SetAside::Junk => "let strace write to a file of its own: strace -f -o FILE",
            SetAside::Cut => "the log's end, or a part of it, is missing: was strace killed, or the disk full?",
            SetAside::NoBeginning => "the log's beginning, or a part of it, is missing: give the whole log",
            SetAside::UnknownCall => {
                "the header may be older than the log's kernel: build with SYSFSM_UNISTD set to a newer unistd_64.h"
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

/// How often something was seen, and where first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Occurrences {
    /// How often.
    pub count: u64,
    /// The first three places.
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

/// Something that makes what is learned from a log less than it seems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// There is no system call in it.
    NoCalls {
        /// The log, by its index.
        file: u32,
    },
    /// It is a summary (`-c`) and nothing else.
    SummaryOnly {
        /// The log, by its index.
        file: u32,
    },
    /// No program starts in it: nobody knows whose calls these are.
    NoExec {
        /// The log, by its index.
        file: u32,
    },
    /// Threads exited without the call that ends them.
    Filtered {
        /// The first ones.
        threads: Occurrences,
    },
    /// A long log has not one failed call.
    NoFailures {
        /// The log, by its index.
        file: u32,
        /// How many calls it has.
        calls: u64,
    },
    /// Programs start in it, and none gets memory, which the C library does before `main`.
    NoMemory {
        /// The log, by its index.
        file: u32,
        /// How many calls it has.
        calls: u64,
    },
    /// Children were made whose calls the log does not have.
    ChildrenUnseen {
        /// The calls that made them.
        children: Occurrences,
    },
    /// Calls of the 32-bit table.
    ThirtyTwoBit {
        /// The first ones.
        calls: Occurrences,
    },
    /// Children whose parent could only be guessed.
    GuessedParents {
        /// The first ones.
        children: Occurrences,
    },
    /// Resumed calls without their beginning.
    NoBeginning {
        /// The first ones.
        calls: Occurrences,
    },
    /// Execs that do not say of what.
    NamelessExecs {
        /// The first ones.
        execs: Occurrences,
    },
}

impl Warning {
    /// The log that it is about, by its index, if it is about one.
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

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Warning::NoCalls { .. } => "give a log that strace wrote: strace -f -o FILE CMD",
            Warning::SummaryOnly { .. } => "trace without -c (or with -C, which prints both)",
            Warning::NoExec { .. } => {
                "let strace start the program (strace -f -o FILE CMD), or name the binary with --binary"
            }
            Warning::Filtered { .. } | Warning::NoMemory { .. } => {
                "trace every call: without -e trace=, -e status= and -z"
            }
            Warning::NoFailures { .. } => "was it traced with -z or -e status=? trace without them",
            Warning::ChildrenUnseen { .. } => "trace with -f, and give all the files of one -ff together",
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
            Warning::ChildrenUnseen { children } => write!(
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
    /// Lines.
    pub lines: u64,
    /// Calls: events of a call of the 64-bit table.
    pub calls: u64,
    /// Lives of threads: an id that comes again counts again.
    pub threads: u64,
    /// What fits nothing, by kind, in the order of [`SetAside::ALL`]; kinds that were not seen are
    /// left out.
    pub set_aside: Vec<(SetAside, Occurrences)>,
    /// Warnings, each kind once, those of one file once a file.
    pub warnings: Vec<Warning>,
}

impl Report {
    /// How many lines were set aside.
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
            | (WarningKind::ChildUnseen, Warning::ChildrenUnseen { children: t })
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
            WarningKind::ChildUnseen => Warning::ChildrenUnseen { children: occurrences },
            WarningKind::ThirtyTwoBit => Warning::ThirtyTwoBit { calls: occurrences },
            WarningKind::GuessedParent => Warning::GuessedParents { children: occurrences },
            WarningKind::NoBeginning => Warning::NoBeginning { calls: occurrences },
            WarningKind::NamelessExec => Warning::NamelessExecs { execs: occurrences },
        });
    }
}

/// The warnings that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WarningKind {
    Filtered,
    ChildUnseen,
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
            Warning::ChildrenUnseen { children: t.clone() },
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
    fn tallies_keep_the_first_three_places() {
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
