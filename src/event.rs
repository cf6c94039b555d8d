//! What a thread did, in the words that its observers and the machine share.
//!
//! A strace log is one observer. Events know the layer of system calls, and nothing above it.

use crate::syscall::Abi;
use std::sync::Arc;

/// A thread's id as the log prints it.
pub type Tid = u32;

/// A place in a log, for messages: `file:line`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The index of the log's file, as the caller of the reader gave it.
    pub file: u32,
    /// The line's number, from 1.
    pub line: u64,
}

/// One thing that a thread did, or that happened to a thread. The events of one thread come in
/// their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The thread.
    pub tid: Tid,
    /// The place in the log that shows the event.
    pub place: Place,
    /// What happened.
    pub kind: EventKind,
}

/// The kinds of [`Event`].
///
/// A thread without a [`EventKind::Spawn`] before its first event was running when the log began:
/// its past is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A system call of the 64-bit table entered, by its number. The event comes for every call,
    /// also for `rt_sigreturn`, `exit` and `restart_syscall`: the machine decides which calls are
    /// symbols.
    Call(u32),
    /// A call through a foreign ABI entered, with its name in the log.
    Foreign(Abi, Arc<str>),
    /// A call entered whose name the table does not have. The frame's context is not known after
    /// it.
    Unknown(Arc<str>),
    /// An `execve` or `execveat` has succeeded. Its `Call` came before. The path is as the log has
    /// it; an empty path: the log does not say which binary it is.
    Exec(Arc<str>),
    /// The thread has made `child`, whose frames are a copy of the thread's frames as they are now.
    /// The `Call` came before.
    Spawn {
        /// The new thread's id.
        child: Tid,
        /// The child belongs to the same thread group (`CLONE_THREAD`).
        same_group: bool,
    },
    /// A handler begins, of the signal with this number.
    Signal(u8),
    /// The handler that began last has not run if it has made no call: its frame could not be set
    /// up. The `Signal` of the handler that runs instead comes next.
    SetupFailed,
    /// The thread has exec'd and goes on under this id, which was its leader's. The state of the
    /// thread goes with it.
    Renamed(Tid),
    /// The thread has ended. Its id may come again for another thread.
    End,
}

/// A function that takes events, one after another.
pub type Sink<'a> = &'a mut dyn FnMut(Event);
