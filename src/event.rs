//! What a thread did, in the words that its observers and the machine share.
//!
//! A strace log is one observer. Events know the system-call layer, and nothing above it.

use crate::syscall::Abi;
use std::sync::Arc;

/// A thread's id as the log prints it.
pub type Tid = u32;

/// A place in a log, for messages: `file:line`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Index of the file, in the order in which the reader was given them.
    pub file: u32,
    /// Line, from 1.
    pub line: u64,
}

/// Something that one thread did or that happened to it, in the thread's own order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The thread.
    pub tid: Tid,
    /// Where the log says so.
    pub place: Place,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of [`Event`]. A thread that appears in an event without a [`EventKind::Spawn`] before
/// it was already running when the log began: its past is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A system call of the 64-bit table was entered, by number. Every call, `rt_sigreturn`, `exit`
    /// and `restart_syscall` too: what is a symbol and what is not, the machine decides.
    Call(u32),
    /// A call through a foreign ABI, with the name that the log gives it.
    Foreign(Abi, Arc<str>),
    /// A call whose name the table does not know: nothing is known of the frame's context after it.
    Unknown(Arc<str>),
    /// A successful `execve` or `execveat` (its `Call` came before), with the path as the log has
    /// it; an empty one: the log does not tell which binary it is.
    Exec(Arc<str>),
    /// The thread made `child`, whose frames are a copy of its own as they are now; its `Call` came
    /// before.
    Spawn {
        /// The new thread's id.
        child: Tid,
        /// It belongs to the same thread group (`CLONE_THREAD`).
        same_group: bool,
    },
    /// A handler for this signal begins.
    Signal(u8),
    /// The thread exec'd and goes on under its leader's id, as which it takes over all of its
    /// state.
    Renamed(Tid),
    /// The thread has ended; its id may come again for another.
    End,
}

/// What takes the events of a reading, one after another.
pub type Sink<'a> = &'a mut dyn FnMut(Event);
