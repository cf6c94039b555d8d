//! Signals: which delivery begins a handler, and which handler an `rt_sigreturn` ends.

use super::pool::Key;
use super::state::State;
use super::thread::{Delayed, Handler};
use crate::event::{Event, EventKind, Place, Sink};
use crate::trace::syntax::dispositions::Action;

/// The largest number of handlers that a thread is taken to be in. A handler that is left by
/// `siglongjmp` never returns.
const DEEPEST: usize = 8192;

impl State {
    /// A signal was delivered.
    ///
    /// `by_kernel`: the kernel sent the signal, perhaps since it could not set up the frame of the
    /// handler before.
    pub(crate) fn deliver(
        &mut self,
        key: Key,
        signal: u8,
        by_kernel: bool,
        place: Place,
        sink: Sink,
    ) {
        let action = self.action(key, signal);
        let handler = match action {
            Action::None => return,
            Action::GuessedNone => {
                if let Some(thread) = self.thread_mut(key) {
                    thread.last_guess = Some(signal);
                }
                return;
            }
            Action::Handler | Action::HandlerOnce => {
                if by_kernel {
                    self.emit(key, EventKind::SetupFailed, place, sink);
                }
                self.emit(key, EventKind::Signal(signal), place, sink);
                if action == Action::HandlerOnce {
                    self.set_action(key, signal, Action::None);
                }
                Handler::Known
            }
            Action::Unknown => {
                let id = self.next_signal;
                self.next_signal += 1;
                Handler::Undecided { id, signal, origin: key }
            }
        };
        if let Some(thread) = self.thread_mut(key) {
            if thread.handlers.len() >= DEEPEST {
                thread.handlers.pop_front();
            }
            thread.handlers.push_back(handler);
        }
        if let Handler::Undecided { id, .. } = handler {
            let tid = self.thread(key).map_or(0, |t| t.tid);
            let event = Event { tid, place, kind: EventKind::Signal(signal) };
            self.enqueue(key, Delayed::Undecided(id, signal, event), sink);
        }
    }

    /// What a signal does to a thread now.
    fn action(&self, key: Key, signal: u8) -> Action {
        let Some(sighand) = self.thread(key).and_then(|t| self.sighands.get(t.sighand)) else {
            return Action::None;
        };
        let action = sighand.actions.get(signal);
        // The order in which threads of several files set a shared action is not known.
        match (sighand.set, &self.family) {
            (Some(set), Some(family))
                if !family.seen.get(set).is_none_or(|s| s.agrees(signal, action)) =>
            {
                Action::Unknown
            }
            _ => action,
        }
    }

    /// An `rt_sigaction` has succeeded.
    pub(crate) fn set_action(&mut self, key: Key, signal: u8, action: Action) {
        let Some(sighand) = self.thread(key).map(|t| t.sighand) else { return };
        // SIGKILL and SIGSTOP keep their actions: such a call never succeeds.
        if let Some(sighand) =
            self.sighands.get_mut(sighand).filter(|_| signal != 9 && signal != 19)
        {
            sighand.actions.set(signal, action);
        }
    }

    /// `rt_sigreturn` ends the innermost handler. If it was not known whether that handler runs, it
    /// is now. The same holds for the process's other undecided deliveries of that signal.
    pub(crate) fn return_from_handler(&mut self, key: Key, sink: Sink) {
        let Some(thread) = self.thread_mut(key) else { return };
        match thread.handlers.pop_back() {
            Some(Handler::Known) => {}
            Some(Handler::Undecided { id, signal, origin }) => {
                self.remember_decision(origin, signal, Action::Handler);
                self.decide(origin, id, true, sink);
                let sighand = self.thread(origin).map(|t| t.sighand);
                let same: Vec<(Key, u64)> = self
                    .threads
                    .iter()
                    .filter(|(_, t)| !t.ended && Some(t.sighand) == sighand)
                    .flat_map(|(k, t)| {
                        t.queue.iter().filter_map(move |i| match i {
                            Delayed::Undecided(id, s, _) if *s == signal => Some((k, *id)),
                            _ => None,
                        })
                    })
                    .collect();
                for (key, id) in same {
                    self.decide(key, id, true, sink);
                }
            }
            None => {
                thread.returns = thread.returns.saturating_add(1);
                // The return is from a handler that was not known. It may be that of the last
                // signal that was guessed to have no handler.
                if let Some(signal) = thread.last_guess.take() {
                    self.remember_decision(key, signal, Action::Handler);
                }
            }
        }
    }
}
