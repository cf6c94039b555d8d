//! Signals: which delivery begins a handler, and which handler an `rt_sigreturn` ends.

use super::pool::Key;
use super::state::State;
use super::thread::{Handler, Item};
use crate::event::{Event, EventKind, Place, Sink};
use crate::trace::syntax::dispositions::Action;

/// A handler that is left by `siglongjmp` never returns: of those, so many are remembered.
const DEEPEST: usize = 8192;

impl State {
    /// A signal was delivered.
    pub(crate) fn deliver(&mut self, key: Key, signal: u8, place: Place, sink: Sink) {
        let action = self.action(key, signal);
        let handler = match action {
            Action::None => return,
            Action::GuessedNone => {
                if let Some(life) = self.life_mut(key) {
                    life.last_guess = Some(signal);
                }
                return;
            }
            Action::Handler | Action::HandlerOnce => {
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
        if let Some(life) = self.life_mut(key) {
            if life.handlers.len() >= DEEPEST {
                life.handlers.pop_front();
            }
            life.handlers.push_back(handler);
        }
        if let Handler::Undecided { id, .. } = handler {
            let tid = self.life(key).map_or(0, |l| l.tid);
            let event = Event { tid, place, kind: EventKind::Signal(signal) };
            self.enqueue(key, Item::Undecided(id, signal, event), sink);
        }
    }

    /// What a signal does to a thread now.
    fn action(&self, key: Key, signal: u8) -> Action {
        let Some(table) = self.life(key).and_then(|l| self.tables.get(l.table)) else {
            return Action::None;
        };
        let action = table.actions.get(signal);
        // Threads of one table in several files: when each of them set what is not known.
        match (table.set, &self.kin) {
            (Some(set), Some(kin))
                if !kin.seen.get(set).is_none_or(|s| s.agrees(signal, action)) =>
            {
                Action::Unknown
            }
            _ => action,
        }
    }

    /// A successful `rt_sigaction`.
    pub(crate) fn set_action(&mut self, key: Key, signal: u8, action: Action) {
        let Some(table) = self.life(key).map(|l| l.table) else { return };
        // SIGKILL and SIGSTOP keep theirs: such a call never succeeds.
        if let Some(table) = self.tables.get_mut(table).filter(|_| signal != 9 && signal != 19) {
            table.actions.set(signal, action);
        }
    }

    /// `rt_sigreturn` ends the innermost handler; if that was only a possible one, it is one now,
    /// and so are the process's other deliveries of the same signal that are still undecided.
    pub(crate) fn return_from_handler(&mut self, key: Key, sink: Sink) {
        let Some(life) = self.life_mut(key) else { return };
        match life.handlers.pop_back() {
            Some(Handler::Known) => {}
            Some(Handler::Undecided { id, signal, origin }) => {
                self.remember_decision(origin, signal, Action::Handler);
                self.decide(origin, id, true, sink);
                let table = self.life(origin).map(|l| l.table);
                let same: Vec<(Key, u64)> = self
                    .lives
                    .iter()
                    .filter(|(_, l)| !l.ended && Some(l.table) == table)
                    .flat_map(|(k, l)| {
                        l.queue.iter().filter_map(move |i| match i {
                            Item::Undecided(id, s, _) if *s == signal => Some((k, *id)),
                            _ => None,
                        })
                    })
                    .collect();
                for (key, id) in same {
                    self.decide(key, id, true, sink);
                }
            }
            None => {
                life.returns = life.returns.saturating_add(1);
                // It returns from a handler of which none was known: perhaps from the signal whose
                // handler was guessed away.
                if let Some(signal) = life.last_guess.take() {
                    self.remember_decision(key, signal, Action::Handler);
                }
            }
        }
    }
}
