//! What is counted of one log, and which warnings follow from the counts.

use super::threads::report::Warning;
use crate::event::Place;
use crate::syscall::nr;
use crate::trace::syntax::names::Named;

/// The calls by which a program gets memory.
const MEMORY: [u32; 2] = [nr::MMAP, nr::BRK];
/// With more calls than this a log in which none gets memory is probably filtered.
const ENOUGH_FOR_MEMORY: u64 = 16;
/// With more calls than this a log in which none fails is probably filtered.
const ENOUGH_FOR_FAILURES: u64 = 200;

/// The counts of one log, or of a family of files.
#[derive(Debug, Default)]
pub(super) struct LogCounts {
    calls: u64,
    /// Calls that failed or were interrupted.
    pub failures: u64,
    /// Execs that succeeded.
    pub execs: u64,
    /// Some call gets memory.
    memory: bool,
    /// The last line.
    pub place: Place,
}

impl LogCounts {
    /// Counts a whole simple call, which is not the first call of the log.
    #[inline]
    pub(super) fn simple_call(&mut self, number: u32, failed: bool) {
        self.calls += 1;
        self.failures += u64::from(failed);
        self.memory |= MEMORY.contains(&number);
    }

    /// Counts a call that enters. A log whose first call is an exec was written `from_start`.
    pub(super) fn call_enters(&mut self, named: Named, from_start: &mut bool) {
        if self.calls == 0 {
            *from_start = named == Named::Number(nr::EXECVE);
        }
        self.calls += 1;
        self.memory |=
            MEMORY.iter().any(|&nr| named == Named::Number(nr)) || named == Named::Only32;
    }

    /// The warning about the log of this index, at most one. `summary`: the log has a summary
    /// (`-c`).
    pub(super) fn warning(&self, file: u32, summary: bool) -> Option<Warning> {
        let calls = self.calls;
        if calls == 0 && summary {
            Some(Warning::SummaryOnly { file })
        } else if calls == 0 {
            Some(Warning::NoCalls { file })
        } else if self.execs == 0 {
            Some(Warning::NoExec { file })
        } else if calls > ENOUGH_FOR_FAILURES && self.failures == 0 {
            Some(Warning::NoFailures { file, calls })
        } else if calls > ENOUGH_FOR_MEMORY && !self.memory {
            Some(Warning::NoMemory { file, calls })
        } else {
            None
        }
    }
}
