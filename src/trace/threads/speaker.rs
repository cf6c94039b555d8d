//! Whose line it is. On stderr strace names the thread only while it traces more than one.

use super::pool::Key;
use super::state::State;
use crate::event::{Place, Sink, Tid};
use crate::trace::syntax::names::Named;

/// The id of a thread that the log does not name.
pub(crate) const NAMELESS: Tid = 0;

/// Remembers who spoke.
#[derive(Debug, Default)]
pub(crate) struct Speaker {
    /// In a file of `-ff` all lines are this thread's.
    pub only: Option<Tid>,
    /// The last one to speak by name.
    last: Option<(Tid, Key)>,
    /// The last one to speak without a name, while no other has spoken by name since.
    nameless: Option<Key>,
    /// Lines begin with a bare pid (-o and -f): none is without.
    pub column: bool,
}

impl Speaker {
    /// The thread whose line this is; it is made if it was never seen. `resumed`: the line resumes
    /// that call.
    pub(crate) fn thread_of(
        &mut self,
        state: &mut State,
        tid: Option<Tid>,
        resumed: Option<Named>,
        place: Place,
        sink: Sink,
    ) -> Key {
        let tid = self.only.or(tid);
        if let (Some(tid), Some((last, key))) = (tid, self.last) {
            // Most lines are of whoever has spoken just before.
            if let Some(thread) = state.threads.get_mut(key).filter(|t| last == tid && t.is(tid)) {
                thread.speaks(place);
                return key;
            }
        }
        let key = match tid {
            Some(tid) => self.named(state, tid, resumed, place, sink),
            None => self.unnamed(state, resumed, place, sink),
        };
        if let Some(thread) = state.thread_mut(key) {
            thread.speaks(place);
        }
        key
    }

    fn named(
        &mut self,
        state: &mut State,
        tid: Tid,
        resumed: Option<Named>,
        place: Place,
        sink: Sink,
    ) -> Key {
        let key = state.find(tid).unwrap_or_else(|| {
            Self::unknown(state, self.only.is_some(), tid, resumed, place, sink)
        });
        self.last = Some((tid, key));
        self.nameless = None;
        key
    }

    /// A number that was never seen.
    fn unknown(
        state: &mut State,
        family: bool,
        tid: Tid,
        resumed: Option<Named>,
        place: Place,
        sink: Sink,
    ) -> Key {
        if family {
            return state.attach(tid, place, sink);
        }
        // The thread that had no name so far is named as soon as it has a child. It is not the
        // child if the line resumes the call that the nameless one is in, or if nobody is making a
        // child.
        let nameless =
            state.find(NAMELESS).filter(|&k| state.thread(k).is_some_and(|t| t.alias.is_none()));
        if let Some(key) = nameless {
            let same = resumed.is_some()
                && state.thread(key).and_then(|t| t.open.as_ref()).map(|o| o.named) == resumed;
            if same || state.clones.is_empty() {
                if let Some(thread) = state.thread_mut(key) {
                    thread.alias = Some(tid);
                }
                state.by_tid.insert(tid, key);
                return key;
            }
        }
        if resumed.is_some() {
            // No child begins with the second half of a call.
            return state.attach(tid, place, sink);
        }
        if state.clones.is_empty() && state.from_start {
            // Within a pid namespace a call returns another number than the log's.
            // Nor does any name the child of a thread that was killed inside the call.
            if let Some(child) = state.take_unnamed_child().or_else(|| state.only_unspoken()) {
                state.rename(child, tid, place, sink);
                return child;
            }
        }
        state.newcomer(tid, place, sink)
    }

    /// The thread of a line without a name: the only one that is left.
    fn unnamed(
        &mut self,
        state: &mut State,
        resumed: Option<Named>,
        place: Place,
        sink: Sink,
    ) -> Key {
        if let Some(key) = self.nameless.filter(|&k| state.thread(k).is_some_and(|t| !t.ended)) {
            return key;
        }
        // Nobody is left who has spoken: with -q nothing says of a child that it is traced. Without
        // -f no line has a name, and no child speaks.
        let silent = |state: &mut State| state.named.then(|| state.only_unspoken()).flatten();
        let key = Self::sole_speaker(state, resumed)
            .or_else(|| silent(state))
            .unwrap_or_else(|| state.attach(NAMELESS, place, sink));
        self.nameless = Some(key);
        key
    }

    /// The thread that must be meant when none is named: the one that lives; if there seem to be
    /// several (some versions do not report every end), the one whose call is resumed, then the one
    /// that spoke last.
    pub(crate) fn sole_speaker(state: &State, resumed: Option<Named>) -> Option<Key> {
        let alive = || state.threads.iter().filter(|(_, t)| t.spoke && !t.ended);
        let same = alive()
            .filter(|(_, t)| resumed.is_some() && t.open.as_ref().map(|o| o.named) == resumed);
        same.max_by_key(|(_, t)| t.line)
            .or_else(|| alive().max_by_key(|(_, t)| t.line))
            .map(|(key, _)| key)
    }

    /// The thread that has just spoken, by this name or by none.
    pub(crate) fn last_to_speak(&self, name: Option<Tid>) -> Option<Key> {
        match name {
            Some(name) => self.last.filter(|&(last, _)| last == name).map(|(_, key)| key),
            None => self.nameless,
        }
    }

    /// Forgets a log.
    pub(crate) fn reset(&mut self) {
        *self = Speaker::default();
    }
}
