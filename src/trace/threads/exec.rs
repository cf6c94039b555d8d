//! What an exec does to a thread.

use super::pool::Key;
use super::state::State;
use super::thread::{Group, SigHandlers};
use crate::event::{EventKind, Place, Sink};

impl State {
    /// An exec has succeeded. No handler of the old program returns, all actions are reset, and the
    /// thread is alone in its group.
    pub(crate) fn exec(&mut self, key: Key, path: &[u8], place: Place, sink: Sink) {
        self.decide_all(key, sink);
        let Some((tid, group, sighand)) = self.thread(key).map(|t| (t.tid, t.group, t.sighand))
        else {
            return;
        };
        self.end_group(group, key, place, sink);
        self.groups.release(group);
        self.sighands.release(sighand);
        let group = self.groups.add(Group::of(tid));
        let sighand = self.sighands.add(SigHandlers::after_exec());
        if let Some(thread) = self.thread_mut(key) {
            thread.group = group;
            thread.sighand = sighand;
            thread.handlers.clear();
            thread.returns = 0;
            thread.last_guess = None;
            thread.becomes = None;
            thread.attached = false;
        }
        let path = String::from_utf8_lossy(path);
        self.emit(key, EventKind::Exec(path.as_ref().into()), place, sink);
    }
}
