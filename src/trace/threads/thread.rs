//! One thread, from its first line or its creation to its end.

use super::pool::Key;
use crate::event::{Event, Place, Tid};
use crate::syscall::Abi;
use crate::trace::syntax::args::Sharing;
use crate::trace::syntax::dispositions::{Action, Dispositions};
use crate::trace::syntax::names::Named;
use std::collections::VecDeque;

/// What is known of one thread.
#[derive(Debug)]
pub(crate) struct Thread {
    /// The id under which the thread's events are emitted.
    pub tid: Tid,
    /// The id that the creator's call returned, or that of the thread's first line.
    pub created_as: Tid,
    /// The id by which the log names the thread now, if its first lines named no thread.
    pub alias: Option<Tid>,
    /// The thread group, in [`State::groups`](super::state::State::groups).
    pub group: Key,
    /// The signal actions, in [`State::sighands`](super::state::State::sighands).
    pub sighand: Key,
    /// The foreign ABI of the thread's calls, as strace reported it.
    pub abi: Option<Abi>,
    /// The call that the thread is in.
    pub open: Option<OpenCall>,
    /// The handlers that the thread is in, as far as their signals were seen. The innermost is
    /// last.
    pub handlers: VecDeque<Handler>,
    /// The number of returns from handlers whose signals were not seen.
    pub returns: u32,
    /// The last signal that was delivered and was taken for one without a handler only by a guess.
    pub last_guess: Option<u8>,
    /// The events that wait.
    pub queue: VecDeque<Delayed>,
    /// Why the queue waits, besides an undecided signal at its front.
    pub wait: Wait,
    /// The creator, as long as the thread waits for the creator's queue.
    pub parent: Option<Key>,
    /// The log has a line of this thread.
    pub spoke: bool,
    /// The thread and its program were running before the thread's first line: the log shows no
    /// creation and no exec of the thread.
    pub attached: bool,
    /// The thread has ended, and only its queue remains.
    pub ended: bool,
    /// The thread's first line, or the line of its creation.
    pub first: Place,
    /// The number of the thread's last line.
    pub line: u64,
    /// The number of the line before the last one.
    pub before: u64,
    /// The id under which the thread will go on after its exec.
    pub becomes: Option<Tid>,
}

/// Why a thread's events wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The events do not wait.
    No,
    /// The event of the thread's creation is in the creator's queue.
    Creation,
    /// Several threads may be the creator.
    Creator,
}

/// An entry of a thread's queue.
#[derive(Debug)]
pub(crate) enum Delayed {
    /// An event, and for a `Spawn` the child whose queue waits for this event.
    Event(Event, Option<Key>),
    /// A signal of which is not known yet whether a handler runs: its number in the log, the
    /// signal, and the event that is emitted if a handler runs.
    Undecided(u64, u8, Event),
}

/// A handler that a thread is in, or may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// The handler runs.
    Known,
    /// Whether the handler runs is not known: the signal is in the queue of the thread `origin`.
    Undecided {
        /// The signal's number in the log.
        id: u64,
        /// The signal.
        signal: u8,
        /// The thread in whose queue the signal is.
        origin: Key,
    },
}

/// A call that has entered and has not returned.
#[derive(Debug)]
pub(crate) struct OpenCall {
    /// Which call.
    pub named: Named,
    /// What the call does when it returns.
    pub kind: CallKind,
    /// Where the call entered.
    pub place: Place,
    /// The call's line has neither a result nor a mark such as `<unfinished ...>`.
    pub cut: bool,
}

/// The calls whose return matters.
#[derive(Debug)]
pub(crate) enum CallKind {
    /// Any other call.
    Plain,
    /// `execve`, `execveat`.
    Exec(Vec<u8>),
    /// `clone`, `clone3`, `fork`, `vfork`.
    Clone {
        /// What the child and its creator share. `None`: strace prints it when the call returns.
        sharing: Option<Sharing>,
        /// The child, if a line of the child came before the call's return.
        child: Option<Tid>,
    },
    /// `rt_sigaction`: the signal and its new action, if the call sets one.
    Sigaction(Option<(u8, Action)>),
}

/// A thread group.
#[derive(Debug)]
pub(crate) struct Group {
    /// The id of the group's first thread.
    pub leader: Tid,
    /// `exit_group` has entered, or a thread of the group has exec'd: the other threads end without
    /// a call of their own.
    pub dying: bool,
}

/// The signal actions of a process (the kernel's `sighand_struct`).
#[derive(Debug, Clone)]
pub(crate) struct SigHandlers {
    /// The actions, by signal.
    pub actions: Dispositions,
    /// In a family of files: the set of threads that share these actions. The order of their calls
    /// in different files is not known.
    pub set: Option<usize>,
}

impl Group {
    /// A group of one thread.
    pub(crate) fn of(leader: Tid) -> Self {
        Group { leader, dying: false }
    }
}

impl SigHandlers {
    /// The actions of a process that was running when the log began.
    pub(crate) fn unknown() -> Self {
        SigHandlers { actions: Dispositions::unknown(), set: None }
    }

    /// The actions of a process after an exec.
    pub(crate) fn after_exec() -> Self {
        SigHandlers { actions: Dispositions::exec(), set: None }
    }
}

impl Thread {
    /// Whether the thread's events are emitted at once.
    pub(crate) fn emits_at_once(&self) -> bool {
        self.wait == Wait::No && self.queue.is_empty()
    }

    /// Whether the thread lives and has this id.
    pub(crate) fn is(&self, tid: Tid) -> bool {
        !self.ended && (self.tid == tid || self.alias == Some(tid))
    }

    /// Notes that the log has a line of this thread here.
    pub(crate) fn speaks(&mut self, place: Place) {
        self.spoke = true;
        if self.line != place.line {
            self.before = self.line;
            self.line = place.line;
        }
    }

    /// Whether the thread is in an exec.
    pub(crate) fn in_exec(&self) -> bool {
        matches!(self.open, Some(OpenCall { kind: CallKind::Exec(_), .. }))
    }
}
