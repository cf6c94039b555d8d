//! Which thread a line is of: the line's speaker. On stderr strace names the thread only while it
//! traces more than one.

use super::pool::Key;
use super::state::State;
use crate::event::{Place, Sink, Tid};
use crate::trace::syntax::names::Named;

/// The id of a thread that the log does not name.
pub(crate) const NAMELESS: Tid = 0;

/// Remembers the speakers of the last lines.
#[derive(Debug, Default)]
pub(crate) struct Speaker {
    /// In a file of `-ff`: the thread that all lines are of.
    pub only: Option<Tid>,
    /// The speaker of the last line that names its thread.
    last: Option<(Tid, Key)>,
    /// The speaker of the last line that names no thread, if no line since has named one.
    nameless: Option<Key>,
    /// Lines begin with a pid (-o and -f), so that a line without a pid is none of strace's.
    pub column: bool,
}

impl Speaker {
    /// The thread of a line, which is added if it was never seen. `tid`: the thread that the line
    /// names. `resumed`: the call that the line resumes.
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
            // Most lines are of the same thread as the line before.
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

    /// The thread of an id that was never seen.
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
        // strace names a thread that it did not name so far as soon as that thread has a child. The
        // id is the thread's and not the child's if the line resumes the thread's open call, or if
        // no thread is in a clone-like call.
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
            // The first line of a child is no second half of a call.
            return state.attach(tid, place, sink);
        }
        if state.clones.is_empty() && state.from_start {
            // Within a pid namespace a call returns another number than the log has. And no result
            // names the child of a thread that was killed inside of the call.
            if let Some(child) = state.take_unnamed_child().or_else(|| state.only_unspoken()) {
                state.rename(child, tid, place, sink);
                return child;
            }
        }
        state.newcomer(tid, place, sink)
    }

    /// The thread of a line that names none: the only thread that is left.
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
        // No thread that has a line is left. With -q no line says that a child is traced, so the
        // child may be meant. Without -f no line names a thread, and no child has a line.
        let silent = |state: &mut State| state.named.then(|| state.only_unspoken()).flatten();
        let key = Self::sole_speaker(state, resumed)
            .or_else(|| silent(state))
            .unwrap_or_else(|| state.attach(NAMELESS, place, sink));
        self.nameless = Some(key);
        key
    }

    /// The thread that is meant when none is named: the one that lives. Some versions do not report
    /// every end, so that several may seem to live. Then the thread whose call is resumed is meant,
    /// or else the thread of the last line.
    pub(crate) fn sole_speaker(state: &State, resumed: Option<Named>) -> Option<Key> {
        let alive = || state.threads.iter().filter(|(_, t)| t.spoke && !t.ended);
        let same = alive()
            .filter(|(_, t)| resumed.is_some() && t.open.as_ref().map(|o| o.named) == resumed);
        same.max_by_key(|(_, t)| t.line)
            .or_else(|| alive().max_by_key(|(_, t)| t.line))
            .map(|(key, _)| key)
    }

    /// The thread of the last line, if that line named its thread by `name`.
    pub(crate) fn last_to_speak(&self, name: Option<Tid>) -> Option<Key> {
        match name {
            Some(name) => self.last.filter(|&(last, _)| last == name).map(|(_, key)| key),
            None => self.nameless,
        }
    }

    /// Forgets the log.
    pub(crate) fn reset(&mut self) {
        *self = Speaker::default();
    }
}
