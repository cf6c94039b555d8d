//! Which events go out at once and which wait: for a thread's creator to be known, for its creation
//! to go out, or for an undecided signal (a log that starts in the middle does not say whether a
//! handler runs; whether an `rt_sigreturn` follows does).

use super::pool::Key;
use super::state::State;
use super::thread::{Handler, Item, Wait};
use crate::event::{Event, EventKind, Place, Sink, Tid};
use crate::trace::syntax::dispositions::Action;

/// So many events of one thread wait, then what they wait for is guessed.
const HELD: usize = 4096;
/// So many of all threads together.
const HELD_IN_ALL: usize = 1 << 18;

impl State {
    /// An event goes out, or into the thread's queue.
    pub(crate) fn emit(&mut self, key: Key, kind: EventKind, place: Place, sink: Sink) {
        self.emit_for(key, kind, place, None, sink);
    }

    /// As `emit`; the event lets `child` go. Returns whether it went out at once.
    pub(crate) fn emit_for(
        &mut self,
        key: Key,
        kind: EventKind,
        place: Place,
        child: Option<Key>,
        sink: Sink,
    ) -> bool {
        let Some(life) = self.lives.get_mut(key) else { return true };
        let event = Event { tid: life.tid, place, kind };
        if life.flows() {
            sink(event);
            return true;
        }
        self.enqueue(key, Item::Event(event, child), sink);
        false
    }

    /// Puts something into a thread's queue.
    pub(crate) fn enqueue(&mut self, key: Key, item: Item, sink: Sink) {
        let Some(life) = self.lives.get_mut(key) else { return };
        life.queue.push_back(item);
        self.held += 1;
        while self.life(key).is_some_and(|l| l.queue.len() > HELD) {
            self.force(key, sink);
        }
        while self.held > HELD_IN_ALL {
            let Some((stuck, _)) = self.lives.iter().find(|(_, l)| !l.queue.is_empty()) else {
                break;
            };
            self.force(stuck, sink);
        }
    }

    /// Lets go what no longer waits, of this thread and of those that waited for it.
    pub(crate) fn pump(&mut self, key: Key, sink: Sink) {
        let mut ready = vec![key];
        while let Some(key) = ready.pop() {
            let Some(life) = self.lives.get_mut(key).filter(|l| l.wait == Wait::No) else {
                continue;
            };
            while let Some(item) = life.queue.pop_front() {
                match item {
                    Item::Event(event, child) => {
                        self.held = self.held.saturating_sub(1);
                        sink(event);
                        ready.extend(child);
                    }
                    undecided @ Item::Undecided(..) => {
                        life.queue.push_front(undecided);
                        break;
                    }
                }
            }
            let gone = life.ended && life.queue.is_empty();
            if gone {
                let tid = life.tid;
                if self.ghosts.get(&tid) == Some(&key) {
                    self.ghosts.remove(&tid);
                }
                self.lives.release(key);
            }
            for &child in &ready {
                if let Some(child) = self.lives.get_mut(child) {
                    child.wait = Wait::No;
                    child.parent = None;
                }
            }
        }
    }

    /// Decides whether a signal runs a handler: in its thread's queue, and for the children that
    /// were made meanwhile.
    pub(crate) fn decide(&mut self, origin: Key, id: u64, runs: bool, sink: Sink) {
        if let Some(life) = self.lives.get_mut(origin) {
            let at =
                life.queue.iter().position(|i| matches!(i, Item::Undecided(n, ..) if *n == id));
            if let Some(at) = at {
                if let (true, Some(item)) = (runs, life.queue.get_mut(at)) {
                    if let Item::Undecided(_, _, event) = item {
                        *item = Item::Event(event.clone(), None);
                    }
                } else {
                    life.queue.remove(at);
                    self.held = self.held.saturating_sub(1);
                }
            }
        }
        let is = |h: &Handler| matches!(h, Handler::Undecided { id: n, .. } if *n == id);
        for key in self.lives.keys() {
            let Some(life) = self.lives.get_mut(key) else { continue };
            if runs {
                for handler in life.handlers.iter_mut().filter(|h| is(h)) {
                    *handler = Handler::Known;
                }
            } else {
                life.handlers.retain(|h| !is(h));
            }
        }
        self.pump(origin, sink);
    }

    /// No `rt_sigreturn` can follow any more: no handler ran.
    pub(crate) fn decide_all(&mut self, key: Key, sink: Sink) {
        while let Some((id, signal)) = self.life(key).and_then(|l| {
            l.queue.iter().find_map(|i| match i {
                Item::Undecided(id, signal, _) => Some((*id, *signal)),
                Item::Event(..) => None,
            })
        }) {
            self.remember_decision(key, signal, Action::GuessedNone);
            self.decide(key, id, false, sink);
        }
    }

    /// What was found out holds for the process, unless the log sets the action.
    pub(crate) fn remember_decision(&mut self, key: Key, signal: u8, action: Action) {
        let Some(table) = self.life(key).map(|l| l.table) else { return };
        if let Some(table) = self.tables.get_mut(table) {
            let overturns = matches!(
                (table.actions.get(signal), action),
                (Action::Unknown, _) | (Action::GuessedNone, Action::Handler)
            );
            if overturns && table.set.is_none() {
                table.actions.set(signal, action);
            }
        }
    }

    /// Makes some progress with a thread's queue: what it waits for first is guessed.
    fn force(&mut self, key: Key, sink: Sink) {
        // Its creation may wait in a queue that waits itself.
        let mut stuck = key;
        for _ in 0..self.lives.len() {
            match self.life(stuck) {
                Some(life) if life.wait == Wait::Creation => match life.parent {
                    Some(parent) if self.life(parent).is_some() => stuck = parent,
                    _ => break,
                },
                _ => break,
            }
        }
        let Some(life) = self.life(stuck) else { return };
        match life.wait {
            Wait::Creator => self.guess(stuck, sink),
            Wait::Creation => {
                if let Some(life) = self.life_mut(stuck) {
                    life.wait = Wait::No;
                }
                self.pump(stuck, sink);
            }
            Wait::No => {
                if let Some(&Item::Undecided(id, signal, _)) = life.queue.front() {
                    self.remember_decision(stuck, signal, Action::GuessedNone);
                    self.decide(stuck, id, false, sink);
                } else {
                    self.pump(stuck, sink);
                }
            }
        }
    }

    /// An id comes again: what waits under it goes out first.
    pub(crate) fn lay(&mut self, tid: Tid, sink: Sink) {
        if let Some(ghost) = self.ghosts.remove(&tid) {
            self.flush(ghost, sink);
        }
        if let Some(place) = self.kin.as_mut().and_then(|k| k.ended.remove(&tid)) {
            sink(Event { tid, place, kind: EventKind::End });
        }
    }

    /// Empties a thread's queue, whatever it waits for.
    pub(crate) fn flush(&mut self, key: Key, sink: Sink) {
        while self.life(key).is_some_and(|l| l.ended || l.wait != Wait::No || !l.queue.is_empty()) {
            self.force(key, sink);
        }
    }
}
