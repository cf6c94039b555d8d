//! Which events are emitted at once, and which are delayed in their thread's queue.
//!
//! An event waits until its thread's creator is known and the thread's creation is emitted. It also
//! waits for an earlier signal of which is not known whether a handler runs: a log that starts in
//! the middle shows that only by an `rt_sigreturn` that follows.

use super::pool::Key;
use super::state::State;
use super::thread::{Delayed, Handler, Wait};
use crate::event::{Event, EventKind, Place, Sink, Tid};
use crate::trace::syntax::dispositions::Action;

/// The largest number of events of one thread that wait. Past it, what they wait for is guessed.
const MAX_DELAYED: usize = 4096;
/// The largest number of events of all threads that wait.
const MAX_DELAYED_IN_ALL: usize = 1 << 18;

impl State {
    /// Emits an event of a thread, or puts the event into the thread's queue.
    pub(crate) fn emit(&mut self, key: Key, kind: EventKind, place: Place, sink: Sink) {
        self.emit_for(key, kind, place, None, sink);
    }

    /// Emits an event, or puts it into the thread's queue. The queue of `child` waits for this
    /// event. Returns whether the event was emitted at once.
    pub(crate) fn emit_for(
        &mut self,
        key: Key,
        kind: EventKind,
        place: Place,
        child: Option<Key>,
        sink: Sink,
    ) -> bool {
        let Some(thread) = self.threads.get_mut(key) else { return true };
        let event = Event { tid: thread.tid, place, kind };
        if thread.emits_at_once() {
            sink(event);
            return true;
        }
        self.enqueue(key, Delayed::Event(event, child), sink);
        false
    }

    /// Puts an entry into a thread's queue. Past a limit, what the queues wait for is guessed.
    pub(crate) fn enqueue(&mut self, key: Key, item: Delayed, sink: Sink) {
        let Some(thread) = self.threads.get_mut(key) else { return };
        thread.queue.push_back(item);
        self.delayed += 1;
        while self.thread(key).is_some_and(|t| t.queue.len() > MAX_DELAYED) {
            self.make_progress(key, sink);
        }
        while self.delayed > MAX_DELAYED_IN_ALL {
            let Some((stuck, _)) = self.threads.iter().find(|(_, t)| !t.queue.is_empty()) else {
                break;
            };
            self.make_progress(stuck, sink);
        }
    }

    /// Emits the events that no longer wait, of this thread and of the threads that waited for it.
    pub(crate) fn emit_ready(&mut self, key: Key, sink: Sink) {
        let mut ready = vec![key];
        while let Some(key) = ready.pop() {
            let Some(thread) = self.threads.get_mut(key).filter(|t| t.wait == Wait::No) else {
                continue;
            };
            while let Some(item) = thread.queue.pop_front() {
                match item {
                    Delayed::Event(event, child) => {
                        self.delayed = self.delayed.saturating_sub(1);
                        sink(event);
                        ready.extend(child);
                    }
                    undecided @ Delayed::Undecided(..) => {
                        thread.queue.push_front(undecided);
                        break;
                    }
                }
            }
            let gone = thread.ended && thread.queue.is_empty();
            if gone {
                let tid = thread.tid;
                if self.retired.get(&tid) == Some(&key) {
                    self.retired.remove(&tid);
                }
                self.threads.release(key);
            }
            for &child in &ready {
                if let Some(child) = self.threads.get_mut(child) {
                    child.wait = Wait::No;
                    child.parent = None;
                }
            }
        }
    }

    /// The undecided signal of the number `id` runs a handler, or does not: in its thread's queue,
    /// and for the children that were made meanwhile.
    pub(crate) fn decide(&mut self, origin: Key, id: u64, runs: bool, sink: Sink) {
        if let Some(thread) = self.threads.get_mut(origin) {
            let at = thread
                .queue
                .iter()
                .position(|i| matches!(i, Delayed::Undecided(n, ..) if *n == id));
            if let Some(at) = at {
                if let (true, Some(item)) = (runs, thread.queue.get_mut(at)) {
                    if let Delayed::Undecided(_, _, event) = item {
                        *item = Delayed::Event(event.clone(), None);
                    }
                } else {
                    thread.queue.remove(at);
                    self.delayed = self.delayed.saturating_sub(1);
                }
            }
        }
        let is = |h: &Handler| matches!(h, Handler::Undecided { id: n, .. } if *n == id);
        for key in self.threads.keys() {
            let Some(thread) = self.threads.get_mut(key) else { continue };
            if runs {
                for handler in thread.handlers.iter_mut().filter(|h| is(h)) {
                    *handler = Handler::Known;
                }
            } else {
                thread.handlers.retain(|h| !is(h));
            }
        }
        self.emit_ready(origin, sink);
    }

    /// No `rt_sigreturn` of the thread can follow: no undecided signal ran a handler.
    pub(crate) fn decide_all(&mut self, key: Key, sink: Sink) {
        while let Some((id, signal)) = self.thread(key).and_then(|t| {
            t.queue.iter().find_map(|i| match i {
                Delayed::Undecided(id, signal, _) => Some((*id, *signal)),
                Delayed::Event(..) => None,
            })
        }) {
            self.remember_decision(key, signal, Action::GuessedNone);
            self.decide(key, id, false, sink);
        }
    }

    /// Notes for the whole process what was decided about a signal, unless the log set the action.
    pub(crate) fn remember_decision(&mut self, key: Key, signal: u8, action: Action) {
        let Some(sighand) = self.thread(key).map(|t| t.sighand) else { return };
        if let Some(sighand) = self.sighands.get_mut(sighand) {
            let overturns = matches!(
                (sighand.actions.get(signal), action),
                (Action::Unknown, _) | (Action::GuessedNone, Action::Handler)
            );
            if overturns && sighand.set.is_none() {
                sighand.actions.set(signal, action);
            }
        }
    }

    /// Makes the thread's queue shorter: guesses what the queue waits for first.
    fn make_progress(&mut self, key: Key, sink: Sink) {
        // The creation may be in the queue of a thread whose own creation waits.
        let mut stuck = key;
        for _ in 0..self.threads.len() {
            match self.thread(stuck) {
                Some(thread) if thread.wait == Wait::Creation => match thread.parent {
                    Some(parent) if self.thread(parent).is_some() => stuck = parent,
                    _ => break,
                },
                _ => break,
            }
        }
        let Some(thread) = self.thread(stuck) else { return };
        match thread.wait {
            Wait::Creator => self.guess_creator(stuck, sink),
            Wait::Creation => {
                if let Some(thread) = self.thread_mut(stuck) {
                    thread.wait = Wait::No;
                }
                self.emit_ready(stuck, sink);
            }
            Wait::No => {
                if let Some(&Delayed::Undecided(id, signal, _)) = thread.queue.front() {
                    self.remember_decision(stuck, signal, Action::GuessedNone);
                    self.decide(stuck, id, false, sink);
                } else {
                    self.emit_ready(stuck, sink);
                }
            }
        }
    }

    /// An id comes again: the events that wait under that id are emitted first.
    pub(crate) fn emit_retired(&mut self, tid: Tid, sink: Sink) {
        if let Some(retired) = self.retired.remove(&tid) {
            self.emit_all(retired, sink);
        }
        if let Some(place) = self.family.as_mut().and_then(|f| f.ended.remove(&tid)) {
            sink(Event { tid, place, kind: EventKind::End });
        }
    }

    /// Emits all of a thread's events, whatever they wait for.
    pub(crate) fn emit_all(&mut self, key: Key, sink: Sink) {
        while self.thread(key).is_some_and(|t| t.ended || t.wait != Wait::No || !t.queue.is_empty())
        {
            self.make_progress(key, sink);
        }
    }
}
