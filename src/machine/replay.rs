//! Replay: judges the events of a log as the kernel would have judged the programs' calls.

use super::context::Context;
use super::frames::{Delivery, Frames};
use super::judge::{Judge, Reaction, Reason, State, Verdict};
use super::threads::ByThread;
use crate::event::{Event, EventKind, Place, Tid};
use crate::syscall::{nr, CallName};
use std::sync::Arc;

/// A machine that is bound to a binary.
#[derive(Debug)]
pub struct BoundMachine {
    /// The machine, ready to judge.
    pub judge: Judge,
    /// A thread keeps this machine when it execs a binary that has none (`"children": "inherit"`,
    /// semantics, rule 2).
    pub inherit: bool,
}

/// A violation that a log shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The index of the [`BoundMachine`] that judged the call.
    pub bound: usize,
    /// Where the call stands in the log.
    pub place: Place,
    /// The thread group. Of a thread whose creation the log does not show: the thread's own id.
    pub pid: Tid,
    /// The thread.
    pub tid: Tid,
    /// Why the call is a violation.
    pub reason: Reason,
    /// The context of the thread's state before the call.
    pub context: Context,
    /// The call's name. A call through a foreign ABI is
    /// [`Abi::symbol`](crate::syscall::Abi::symbol).
    pub symbol: String,
    /// The name that the log gives a call through a foreign ABI.
    pub foreign: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Thread {
    pid: Tid,
    watch: Watch,
}

#[derive(Debug, Clone)]
enum Watch {
    /// No machine judges the thread.
    Unwatched,
    /// The thread's past is unknown, and the thread has made no call but an exec: strace itself
    /// starts a program so (semantics, rule 8). The machine of this index will judge the thread.
    Fresh(usize),
    /// The machine of this index judges the thread.
    Judged(usize, Frames<State>),
}

/// Replays events against machines. Every violation is reported: after a violation the state
/// follows the log, as under the action `log`, whatever the policy's action is.
#[derive(Debug)]
pub struct Replay<F> {
    bounds: Vec<BoundMachine>,
    bind: F,
    /// The index of the machine that judges threads which were running when the log began.
    unknown: Option<usize>,
    threads: ByThread<Thread>,
    judged: u64,
    runs: Vec<u64>,
}

impl<F: Fn(&str) -> Option<usize>> Replay<F> {
    /// A replay against `bounds`. `bind` returns the index of the machine for a path that a thread
    /// execs. `unknown` is the index of the machine for threads whose exec the log does not show.
    pub fn new(bounds: Vec<BoundMachine>, bind: F, unknown: Option<usize>) -> Self {
        let runs = vec![0; bounds.len()];
        Replay { bounds, bind, unknown, threads: ByThread::default(), judged: 0, runs }
    }

    /// The number of calls that were judged.
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// By machine: the number of executions that were judged. A thread that was running when the
    /// log began counts as an execution of its own.
    pub fn runs(&self) -> &[u64] {
        &self.runs
    }

    /// Judges one event. Returns the violation, if the event is one.
    pub fn event(&mut self, event: &Event) -> Option<Finding> {
        match &event.kind {
            &EventKind::Call(number) => {
                let step =
                    |judge: &Judge, frames: &mut _| judge.call(frames, number, Reaction::Follow);
                self.judge(event, step, || (CallName(number).to_string(), None))
            }
            EventKind::Foreign(abi, name) => {
                let step = |judge: &Judge, frames: &mut _| judge.foreign(frames, Reaction::Follow);
                self.judge(event, step, || (abi.symbol().into(), Some(name.clone())))
            }
            EventKind::Unknown(name) => {
                // A name that the table does not have is a symbol of no machine.
                let step =
                    |judge: &Judge, frames: &mut _| match judge.foreign(frames, Reaction::Follow) {
                        Verdict::Violation(_, context) => {
                            Verdict::Violation(Reason::Transition, context)
                        }
                        allowed @ Verdict::Allowed => allowed,
                    };
                self.judge(event, step, || (name.to_string(), None))
            }
            EventKind::Exec(path) => {
                self.exec(event.tid, path);
                None
            }
            &EventKind::Spawn { child, same_group } => {
                let mut thread = self.known_thread(event.tid).clone();
                if let Watch::Judged(_, frames) = &mut thread.watch {
                    *frames = frames.child();
                }
                if !same_group {
                    thread.pid = child;
                }
                self.threads.insert(child, thread);
                None
            }
            EventKind::SetupFailed => {
                if let Watch::Judged(_, frames) = &mut self.known_thread(event.tid).watch {
                    frames.setup_failed();
                }
                None
            }
            &EventKind::Signal(signal) => {
                self.known_thread(event.tid);
                if let Some(Thread { watch: Watch::Judged(index, frames), .. }) =
                    self.threads.get_mut(event.tid)
                    && let Some(bound) = self.bounds.get(*index)
                {
                    bound.judge.signal(frames, signal, Delivery::default());
                }
                None
            }
            &EventKind::Renamed(to) => {
                if let Some(mut thread) = self.threads.remove(event.tid) {
                    thread.pid = to;
                    self.threads.insert(to, thread);
                }
                None
            }
            EventKind::End => {
                self.threads.remove(event.tid);
                None
            }
        }
    }

    fn judge(
        &mut self,
        event: &Event,
        step: impl FnOnce(&Judge, &mut Frames<State>) -> Verdict,
        name: impl FnOnce() -> (String, Option<Arc<str>>),
    ) -> Option<Finding> {
        // The quick way, which nearly every call goes: the thread is known.
        if !self.threads.get_mut(event.tid).is_some_and(|t| !matches!(t.watch, Watch::Fresh(_))) {
            let exec = matches!(event.kind, EventKind::Call(nr::EXECVE | nr::EXECVEAT));
            if exec && matches!(self.thread(event.tid).watch, Watch::Fresh(_)) {
                return None;
            }
            self.known_thread(event.tid);
        }
        let thread = self.threads.get_mut(event.tid)?;
        let Watch::Judged(bound, frames) = &mut thread.watch else {
            return None;
        };
        let verdict = step(&self.bounds.get(*bound)?.judge, frames);
        self.judged += 1;
        let Verdict::Violation(reason, context) = verdict else {
            return None;
        };
        let (symbol, foreign) = name();
        Some(Finding {
            bound: *bound,
            place: event.place,
            pid: thread.pid,
            tid: event.tid,
            reason,
            context,
            symbol,
            foreign,
        })
    }

    fn exec(&mut self, tid: Tid, path: &str) {
        let found = (self.bind)(path);
        let kept = match self.thread(tid).watch {
            Watch::Judged(index, _) => self.bounds.get(index).filter(|b| b.inherit).map(|_| index),
            Watch::Unwatched | Watch::Fresh(_) => None,
        };
        let watch = match found.or(kept).and_then(|i| Some((i, self.bounds.get(i)?))) {
            Some((index, bound)) => Watch::Judged(index, bound.judge.exec()),
            None => Watch::Unwatched,
        };
        if let Some(runs) = found.and_then(|i| self.runs.get_mut(i)) {
            *runs += 1;
        }
        self.threads.insert(tid, Thread { pid: tid, watch });
    }

    /// The thread of this id. A thread that was not seen before is of unknown past.
    fn thread(&mut self, tid: Tid) -> &mut Thread {
        let unknown = self.unknown;
        self.threads.or_insert_with(tid, || Thread {
            pid: tid,
            watch: unknown.map_or(Watch::Unwatched, Watch::Fresh),
        })
    }

    /// The thread of this id, which is not about to exec. A fresh thread is judged from now on.
    fn known_thread(&mut self, tid: Tid) -> &mut Thread {
        if let Watch::Fresh(index) = self.thread(tid).watch {
            let frames = self.bounds.get(index).map(|b| b.judge.observe());
            if let Some(runs) = self.runs.get_mut(index) {
                *runs += 1;
            }
            self.thread(tid).watch =
                frames.map_or(Watch::Unwatched, |frames| Watch::Judged(index, frames));
        }
        self.thread(tid)
    }
}
