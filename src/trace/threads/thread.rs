//! One thread's life, from its first line or its creation to its end.

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
    /// The id under which its events go out.
    pub tid: Tid,
    /// The id that its creation gave it.
    pub created_as: Tid,
    /// The number that the log gave later to a thread that it had shown without one.
    pub alias: Option<Tid>,
    /// Its thread group.
    pub group: Key,
    /// Its signal actions.
    pub sighand: Key,
    /// The foreign ABI in which its calls are made, by strace's notes.
    pub abi: Option<Abi>,
    /// The call that it is in.
    pub open: Option<OpenCall>,
    /// The handlers that it is in, as far as seen.
    pub handlers: VecDeque<Handler>,
    /// Returns from handlers that it was in before anything of it was seen.
    pub returns: u32,
    /// The last signal of which it was guessed that no handler runs.
    pub last_guess: Option<u8>,
    /// Events that wait.
    pub queue: VecDeque<Delayed>,
    /// Why they wait, besides an undecided signal at the queue's front.
    pub wait: Wait,
    /// Its creator, while it waits for it.
    pub parent: Option<Key>,
    /// A line of its own was seen.
    pub spoke: bool,
    /// It was there before its first line, as was its program: nobody made it, and it has not
    /// exec'd.
    pub attached: bool,
    /// It has ended; only its queue remains.
    pub ended: bool,
    /// Its first line, or that of its creation.
    pub first: Place,
    /// Its last line …
    pub line: u64,
    /// … and the one before.
    pub before: u64,
    /// The id as which it will go on after its exec.
    pub becomes: Option<Tid>,
}

/// Why a thread's events wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// They do not.
    No,
    /// Its creation is in its creator's queue.
    Creation,
    /// Several could be its creator.
    Creator,
}

/// Something that waits.
#[derive(Debug)]
pub(crate) enum Delayed {
    /// An event; of a `Spawn`, the child that it lets go.
    Event(Event, Option<Key>),
    /// A signal, by its number in the log, of which it is not known yet whether a handler runs: the
    /// event if one does.
    Undecided(u64, u8, Event),
}

/// A handler that a thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// It runs.
    Known,
    /// Perhaps: the signal waits in the queue of the thread `origin`.
    Undecided {
        /// Its number in the log.
        id: u64,
        /// The signal.
        signal: u8,
        /// Where it waits.
        origin: Key,
    },
}

/// A call that was entered and has not returned.
#[derive(Debug)]
pub(crate) struct OpenCall {
    /// Which one.
    pub named: Named,
    /// What its return will do.
    pub kind: CallKind,
    /// Where it was entered.
    pub place: Place,
    /// The line has no end: no `<unfinished ...>` came, and no result.
    pub cut: bool,
}

/// The calls whose return matters.
#[derive(Debug)]
pub(crate) enum CallKind {
    /// None of the others.
    Plain,
    /// `execve`, `execveat`.
    Exec(Vec<u8>),
    /// `clone`, `clone3`, `fork`, `vfork`.
    Clone {
        /// What child and creator share; `None`: the return will tell.
        sharing: Option<Sharing>,
        /// The child, if it spoke before the return.
        child: Option<Tid>,
    },
    /// `rt_sigaction`, and what it sets.
    Sigaction(Option<(u8, Action)>),
}

/// A thread group.
#[derive(Debug)]
pub(crate) struct Group {
    /// The id of its first thread.
    pub leader: Tid,
    /// `exit_group` was entered, or another thread exec'd: its threads end without a call of their
    /// own.
    pub dying: bool,
}

/// A process's signal actions.
#[derive(Debug, Clone)]
pub(crate) struct SigHandlers {
    /// Them.
    pub actions: Dispositions,
    /// In a family of files: the set of threads that share it, whose order among files is not
    /// known.
    pub set: Option<usize>,
}

impl Group {
    /// A group of one thread.
    pub(crate) fn of(leader: Tid) -> Self {
        Group { leader, dying: false }
    }
}

impl Thread {
    /// Its events go out as they come.
    pub(crate) fn emits_at_once(&self) -> bool {
        self.wait == Wait::No && self.queue.is_empty()
    }

    /// It lives, and goes by this id.
    pub(crate) fn is(&self, tid: Tid) -> bool {
        !self.ended && (self.tid == tid || self.alias == Some(tid))
    }

    /// A line of its own.
    pub(crate) fn speaks(&mut self, place: Place) {
        self.spoke = true;
        if self.line != place.line {
            self.before = self.line;
            self.line = place.line;
        }
    }

    /// It is in an exec.
    pub(crate) fn in_exec(&self) -> bool {
        matches!(self.open, Some(OpenCall { kind: CallKind::Exec(_), .. }))
    }
}
