//! Replay: events, held against machines as the kernel would have held the programs.

use super::context::Context;
use super::frames::Frames;
use super::judge::{Judge, Reaction, Reason, State, Verdict};
use super::threads::ByThread;
use crate::event::{Event, EventKind, Place, Tid};
use crate::syscall::{nr, Abi, CallName};
use std::sync::Arc;

/// A machine that is bound to a binary.
#[derive(Debug)]
pub struct Bound {
    /// The machine.
    pub judge: Judge,
    /// The policy stays over an exec of a binary that has none (`"children": "inherit"`).
    pub inherit: bool,
}

/// A violation that a log shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which [`Bound`] it is a violation of, by index.
    pub bound: usize,
    /// Where the log has the call.
    pub place: Place,
    /// The thread group, where the log tells it.
    pub pid: Tid,
    /// The thread.
    pub tid: Tid,
    /// Why.
    pub reason: Reason,
    /// The context of the thread's state.
    pub context: Context,
    /// The call; of a foreign ABI as `@i386` or `@x32`.
    pub symbol: String,
    /// The foreign call's name in the log.
    pub foreign: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Thread {
    pid: Tid,
    watch: Watch,
}

#[derive(Debug, Clone)]
enum Watch {
    /// No policy.
    Free,
    /// Of unknown past, and not seen to call anything but exec: strace itself starts a program so.
    Fresh(usize),
    /// Judged by this machine.
    By(usize, Frames<State>),
}

/// Replays events against bound machines. Every violation is reported: after one the state follows
/// the log, as under the action `log`, whatever the policy's action is.
#[derive(Debug)]
pub struct Replay<F> {
    bounds: Vec<Bound>,
    bind: F,
    /// Who judges threads that were running when the log began.
    unknown: Option<usize>,
    threads: ByThread<Thread>,
    judged: u64,
    runs: Vec<u64>,
}

impl<F: Fn(&str) -> Option<usize>> Replay<F> {
    /// Replays against `bounds`; `bind` says which of them an exec'd path is bound to, `unknown`
    /// which of them judges the threads whose exec the log does not show.
    pub fn new(bounds: Vec<Bound>, bind: F, unknown: Option<usize>) -> Self {
        let runs = vec![0; bounds.len()];
        Replay { bounds, bind, unknown, threads: ByThread::default(), judged: 0, runs }
    }

    /// How many calls were judged.
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// How many executions each of the bounds has judged; threads that were running when the log
    /// began count one each.
    pub fn runs(&self) -> &[u64] {
        &self.runs
    }

    /// Takes in one event; the violation, if it is one.
    pub fn event(&mut self, event: &Event) -> Option<Finding> {
        match &event.kind {
            &EventKind::Call(number) => {
                let step =
                    |judge: &Judge, frames: &mut _| judge.call(frames, number, Reaction::Follow);
                self.judge(event, step, || (CallName(number).to_string(), None))
            }
            EventKind::Foreign(abi, name) => {
                let step = |judge: &Judge, frames: &mut _| judge.foreign(frames, Reaction::Follow);
                self.judge(event, step, || (foreign_symbol(*abi).into(), Some(name.clone())))
            }
            EventKind::Unknown(name) => {
                // No name of the table is no symbol of any machine.
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
                if !same_group {
                    thread.pid = child;
                }
                self.threads.insert(child, thread);
                None
            }
            &EventKind::Signal(signal) => {
                self.known_thread(event.tid);
                if let Some(Thread { watch: Watch::By(index, frames), .. }) =
                    self.threads.get_mut(event.tid)
                {
                    if let Some(bound) = self.bounds.get(*index) {
                        bound.judge.signal(frames, signal);
                    }
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
        // Nearly every call is of a thread that is known.
        if !self.threads.get_mut(event.tid).is_some_and(|t| !matches!(t.watch, Watch::Fresh(_))) {
            let exec = matches!(event.kind, EventKind::Call(nr::EXECVE | nr::EXECVEAT));
            if exec && matches!(self.thread(event.tid).watch, Watch::Fresh(_)) {
                return None;
            }
            self.known_thread(event.tid);
        }
        let thread = self.threads.get_mut(event.tid)?;
        let Watch::By(bound, frames) = &mut thread.watch else {
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
            Watch::By(index, _) => self.bounds.get(index).filter(|b| b.inherit).map(|_| index),
            Watch::Free | Watch::Fresh(_) => None,
        };
        let watch = match found.or(kept).and_then(|i| Some((i, self.bounds.get(i)?))) {
            Some((index, bound)) => Watch::By(index, bound.judge.exec()),
            None => Watch::Free,
        };
        if let Some(runs) = found.and_then(|i| self.runs.get_mut(i)) {
            *runs += 1;
        }
        self.threads.insert(tid, Thread { pid: tid, watch });
    }

    /// The thread, taken as one of unknown past where it has not been seen before.
    fn thread(&mut self, tid: Tid) -> &mut Thread {
        let unknown = self.unknown;
        self.threads.or_insert_with(tid, || Thread {
            pid: tid,
            watch: unknown.map_or(Watch::Free, Watch::Fresh),
        })
    }

    /// The same; one that is not about to exec is judged from now on.
    fn known_thread(&mut self, tid: Tid) -> &mut Thread {
        if let Watch::Fresh(index) = self.thread(tid).watch {
            let frames = self.bounds.get(index).map(|b| b.judge.adopt());
            if let Some(runs) = self.runs.get_mut(index) {
                *runs += 1;
            }
            self.thread(tid).watch = frames.map_or(Watch::Free, |frames| Watch::By(index, frames));
        }
        self.thread(tid)
    }
}

/// How events write a call of a foreign ABI: its number means nothing in the 64-bit table.
#[must_use]
pub fn foreign_symbol(abi: Abi) -> &'static str {
    match abi {
        Abi::I386 => "@i386",
        Abi::X32 => "@x32",
    }
}
