//! What an exec does to a thread.

use super::pool::Key;
use super::state::State;
use super::thread::{Group, Table};
use crate::event::{EventKind, Place, Sink};
use crate::trace::syntax::dispositions::Dispositions;

impl State {
    /// An exec has succeeded: no handler of the old program returns, all are reset, and the thread
    /// is alone.
    pub(crate) fn exec(&mut self, key: Key, path: &[u8], place: Place, sink: Sink) {
        self.decide_all(key, sink);
        let Some((tid, group, table)) = self.life(key).map(|l| (l.tid, l.group, l.table)) else {
            return;
        };
        self.doom(group, key, place, sink);
        self.groups.release(group);
        self.tables.release(table);
        let group = self.groups.add(Group::of(tid));
        let table = self.tables.add(Table { actions: Dispositions::exec(), set: None });
        if let Some(life) = self.life_mut(key) {
            life.group = group;
            life.table = table;
            life.handlers.clear();
            life.returns = 0;
            life.last_guess = None;
            life.becomes = None;
            life.attached = false;
        }
        let path = String::from_utf8_lossy(path);
        self.emit(key, EventKind::Exec(path.as_ref().into()), place, sink);
    }
}
