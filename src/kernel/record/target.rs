//! What is recorded, how, and how far the recording is.

use crate::machine::Depth;
use crate::text::UntrustedText;
use std::time::Duration;

/// What is to be recorded.
#[derive(Debug, Clone)]
pub enum Target {
    /// These binaries, wherever they run: absolute paths, or file names.
    Binaries(Vec<String>),
    /// Programs that this process starts from now on, with all their descendants.
    Children,
    /// These processes, with all their descendants from now on.
    Processes(Vec<u32>),
}

/// Whose runs are learned: of these users, and in these cgroups. Of an empty list: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// Ids of users, by whom a run has to be started: the real user at the exec.
    pub users: Vec<u32>,
    /// Paths in the hierarchy of cgroups of version 2: a run has to be started there, or below.
    pub cgroups: Vec<UntrustedText>,
}

/// How a recording is made.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// The depth of the machines.
    pub depth: Depth,
    /// How many transitions the kernel has room for, of all programs together.
    pub room: u32,
    /// Whose runs are learned.
    pub only: Only,
}

/// The totals of a recording so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordTotals {
    /// Calls of recorded threads.
    pub calls: u64,
    /// Runs: programs that were exec'd, or adopted.
    pub runs: u64,
    /// Different transitions.
    pub transitions: u64,
    /// How long ago the last new transition was seen; `None` before the first one.
    pub quiet: Option<Duration>,
    /// Calls whose transition found no room.
    pub transitions_lost: u64,
    /// Calls whose context found no room.
    pub contexts_lost: u64,
    /// Execs whose program found no room.
    pub programs_lost: u64,
    /// Calls whose run could not be remembered. The count of runs of their transitions may be too
    /// low.
    pub runs_uncertain: u64,
    /// Learned runs of which it could not be noted who started them.
    pub starters_lost: u64,
    /// Calls of `rt_sigreturn` with no handler active.
    pub stray_returns: u64,
    /// Signal frames dropped with handlers nested past the limit.
    pub frames_dropped: u64,
    /// Threads whose state waited in the fallback map until their first call.
    pub fallback_threads: u64,
    /// Threads whose state found no room, so that they were not recorded.
    pub threads_refused: u64,
    /// How often, at most, the kernel has skipped all programs of a tracepoint (see
    /// [`Totals::recursion_misses`]).
    ///
    /// [`Totals::recursion_misses`]: crate::kernel::Totals::recursion_misses
    pub recursion_misses: u64,
    /// Running threads that were adopted.
    pub adopted: u64,
}
