//! Who made whom. A child may speak before its creator's call has returned.

use super::pool::Key;
use super::report::Case;
use super::state::{State, UNBORN};
use super::thread::{Group, Handler, Kind, Open, Table, Wait};
use crate::event::{EventKind, Place, Sink, Tid};
use crate::syscall::SIGNAL_MAX;
use crate::trace::syntax::args::Sharing;
use crate::trace::syntax::dispositions::{Action, Dispositions};

impl State {
    /// A thread that was never seen has spoken.
    pub(crate) fn newcomer(&mut self, tid: Tid, place: Place, sink: Sink) -> Key {
        let one = match self.clones.as_slice() {
            [] => return self.attach(tid, place, sink),
            &[one] => Some(one),
            _ => None,
        };
        if let Some(parent) = one.filter(|&k| self.sharing(k).is_some()) {
            return self.spawn(parent, tid, place, sink);
        }
        let key = self.attach(tid, place, sink);
        if let Some(life) = self.life_mut(key) {
            life.wait = Wait::Creator;
            life.attached = false;
        }
        self.orphans.push(key);
        key
    }

    /// What a thread's open clone-like call shares with the child, if the line says so.
    fn sharing(&self, key: Key) -> Option<Sharing> {
        match self.life(key)?.open.as_ref()?.kind {
            Kind::Clone { sharing, .. } => sharing,
            _ => None,
        }
    }

    /// The parent's open call is resolved: its child is known.
    fn resolve(&mut self, parent: Key, tid: Tid) -> Sharing {
        self.clones.retain(|&k| k != parent);
        match self.life_mut(parent).and_then(|l| l.open.as_mut()) {
            Some(Open { kind: Kind::Clone { sharing, child }, .. }) => {
                *child = Some(tid);
                sharing.unwrap_or_default()
            }
            _ => Sharing::default(),
        }
    }

    /// A new thread, made by `parent` in its open call.
    fn spawn(&mut self, parent: Key, tid: Tid, place: Place, sink: Sink) -> Key {
        let sharing = self.resolve(parent, tid);
        let (group, table) = self.inheritance(parent, sharing, tid);
        let key = self.add(tid, group, table, place, sink);
        let inherited = self.life(parent).map(|l| (l.abi, l.handlers.clone()));
        if let (Some(life), Some((abi, handlers))) = (self.life_mut(key), inherited) {
            life.abi = abi;
            life.handlers = handlers;
        }
        self.announce(parent, key, sharing, place, sink);
        key
    }

    /// The group and the table that a child gets.
    fn inheritance(&mut self, parent: Key, sharing: Sharing, tid: Tid) -> (Key, Key) {
        let Some((group, table)) = self.life(parent).map(|l| (l.group, l.table)) else {
            return (self.groups.add(Group::of(tid)), self.fresh_table());
        };
        let group =
            if sharing.thread { self.groups.share(group) } else { self.groups.add(Group::of(tid)) };
        if sharing.sighand {
            let set = self.kin.as_ref().and_then(|k| k.sets.get(&tid).copied());
            if let Some(table) = self.tables.get_mut(table) {
                table.set = table.set.or(set);
            }
            return (group, self.tables.share(table));
        }
        let Some(mut own) = self.tables.get(table).cloned() else {
            return (group, self.fresh_table());
        };
        if let (Some(set), Some(kin)) = (own.set.take(), &self.kin) {
            for signal in 1..=SIGNAL_MAX {
                let action = own.actions.get(signal);
                if kin.seen.get(set).is_some_and(|s| !s.agrees(signal, action)) {
                    own.actions.set(signal, Action::Unknown);
                }
            }
        }
        if sharing.clear {
            own.actions.clear_handlers();
        }
        (group, self.tables.add(own))
    }

    fn fresh_table(&mut self) -> Key {
        self.tables.add(Table { actions: Dispositions::unknown(), set: None })
    }

    /// The `Spawn` goes out, or waits with its creator; then the child waits too.
    fn announce(&mut self, parent: Key, child: Key, sharing: Sharing, place: Place, sink: Sink) {
        let Some(tid) = self.life(child).map(|l| l.born) else { return };
        if let Some(life) = self.life_mut(child) {
            life.wait = Wait::Creation;
            life.parent = Some(parent);
        }
        let event = EventKind::Spawn { child: tid, same_group: sharing.thread };
        if self.emit_for(parent, event, place, Some(child), sink) {
            if let Some(life) = self.life_mut(child) {
                life.wait = Wait::No;
                life.parent = None;
            }
            self.pump(child, sink);
        }
    }

    /// A thread that waited for its creator gets it: what it did meanwhile comes upon what it
    /// inherits.
    fn adopt(&mut self, parent: Key, orphan: Key, place: Place, sink: Sink) {
        self.orphans.retain(|&k| k != orphan);
        let Some((tid, old_group, old_table, ended)) =
            self.life(orphan).map(|l| (l.born, l.group, l.table, l.ended))
        else {
            return;
        };
        let sharing = self.resolve(parent, tid);
        if !ended {
            let (group, table) = self.inheritance(parent, sharing, tid);
            let own = self.tables.get(old_table).map(|t| t.actions.clone());
            if let (Some(own), Some(table)) = (own, self.tables.get_mut(table)) {
                let mut merged = own;
                merged.fill_from(&table.actions);
                table.actions = merged;
            }
            self.groups.release(old_group);
            self.tables.release(old_table);
            let inherited = self.life(parent).map(|l| (l.abi, l.handlers.clone()));
            if let (Some(life), Some((abi, handlers))) = (self.life_mut(orphan), inherited) {
                life.group = group;
                life.table = table;
                life.abi = life.abi.or(abi);
                let mut all = handlers;
                for _ in 0..life.returns {
                    all.pop_back();
                }
                all.append(&mut life.handlers);
                life.handlers = all;
            }
            self.settle_signals(orphan, sink);
        }
        self.announce(parent, orphan, sharing, place, sink);
    }

    /// Signals that were undecided only because the creator was not known.
    fn settle_signals(&mut self, key: Key, sink: Sink) {
        let Some(life) = self.life(key) else { return };
        let table = life.table;
        let own: Vec<(u64, u8)> = life
            .handlers
            .iter()
            .filter_map(|h| match *h {
                Handler::Undecided { id, signal, origin } if origin == key => Some((id, signal)),
                _ => None,
            })
            .collect();
        for (id, signal) in own {
            if let Some(runs) = self.tables.get(table).and_then(|t| t.actions.get(signal).runs()) {
                self.decide(key, id, runs, sink);
            }
        }
    }

    /// A thread has entered a clone-like call.
    pub(crate) fn opens_clone(&mut self, key: Key) {
        if self.kin.is_none() {
            self.clones.push(key);
        }
    }

    /// The thread is no longer in the call that it was in, without a result.
    pub(crate) fn close(&mut self, key: Key, sink: Sink) {
        let Some(open) = self.life_mut(key).and_then(|l| l.open.take()) else { return };
        if matches!(open.kind, Kind::Clone { .. }) {
            self.clones.retain(|&k| k != key);
            self.settle_orphans(sink);
        }
    }

    /// A thread was killed inside a clone-like call (by a sibling's exec or exit, by a signal): the
    /// call may have made a child all the same, which speaks later and which no result names.
    pub(crate) fn leaves_unborn(&mut self, key: Key, place: Place, sink: Sink) {
        let made = match self.life(key).and_then(|l| l.open.as_ref()).map(|o| &o.kind) {
            // A thread of the same group is killed with it.
            Some(Kind::Clone { sharing: Some(sharing), child: None }) => !sharing.thread,
            _ => false,
        };
        if made && self.named && self.from_start && self.kin.is_none() {
            self.unborn = Some(self.spawn(key, UNBORN, place, sink));
        }
    }

    /// Takes the child whom only [`State::leaves_unborn`] knows.
    pub(crate) fn take_unborn(&mut self) -> Option<Key> {
        self.unborn.take().filter(|&k| self.life(k).is_some_and(|l| !l.ended))
    }

    /// A clone-like call has returned `tid`. Its `Open` must still be there.
    pub(crate) fn returns_child(
        &mut self,
        key: Key,
        tid: Tid,
        late: Option<Sharing>,
        place: Place,
        sink: Sink,
    ) {
        let Some(open) = self.life_mut(key).and_then(|l| l.open.as_mut()) else { return };
        let Kind::Clone { sharing, child } = &mut open.kind else { return };
        *sharing = sharing.or(late);
        let child = *child;
        // No call returns its own thread.
        if self.find(tid) == Some(key) {
            self.close(key, sink);
            return;
        }
        let before = self.life(key).map_or(0, |l| l.before);
        match child {
            Some(known) if known == tid => {}
            Some(_) => {
                // In a pid namespace the call returns another number than the log's, and the child
                // spoke first: it is known. If the number is that of a thread that waits for its
                // creator, the child was another's.
                if let Some(orphan) = self.orphan(tid, key) {
                    self.report.tally(Case::GuessedParent, place);
                    self.adopt(key, orphan, place, sink);
                }
            }
            None => {
                // -z prints a call when it returns: the child's lines came before, and its past is
                // lost.
                let early = self
                    .find(tid)
                    .and_then(|k| self.life(k))
                    .is_some_and(|l| l.attached && l.first.line > before);
                if let Some(orphan) = self.orphan(tid, key) {
                    self.adopt(key, orphan, place, sink);
                } else if early && self.kin.is_none() {
                    self.resolve(key, tid);
                } else {
                    let child = self.spawn(key, tid, place, sink);
                    self.remember_unspoken(child, sink);
                }
            }
        }
        self.close(key, sink);
        self.settle_orphans(sink);
    }

    /// With one candidate left, or none, those that wait for their creator need not wait.
    fn settle_orphans(&mut self, sink: Sink) {
        while let Some(&orphan) = self.orphans.first() {
            match self.candidates(orphan).as_slice() {
                [] => self.let_go(orphan, sink),
                &[parent] if self.sharing(parent).is_some() => {
                    let place = self.life(orphan).map(|l| l.first).unwrap_or_default();
                    self.adopt(parent, orphan, place, sink);
                }
                _ => return,
            }
        }
    }

    /// Who may have made a thread: whoever is in a clone-like call, but not its own descendants.
    fn candidates(&self, orphan: Key) -> Vec<Key> {
        self.clones.iter().copied().filter(|&k| !self.waits_for(k, orphan)).collect()
    }

    fn waits_for(&self, key: Key, ancestor: Key) -> bool {
        let mut at = Some(key);
        for _ in 0..=self.lives.len() {
            match at {
                Some(k) if k == ancestor => return true,
                Some(k) => at = self.life(k).and_then(|l| l.parent),
                None => return false,
            }
        }
        true
    }

    /// The thread of this id that waits for its creator, which `parent` may be; it may have ended.
    fn orphan(&self, tid: Tid, parent: Key) -> Option<Key> {
        self.orphans
            .iter()
            .copied()
            .find(|&k| self.life(k).is_some_and(|l| l.born == tid) && !self.waits_for(parent, k))
    }

    /// Nobody can have made it: its past is unknown.
    fn let_go(&mut self, orphan: Key, sink: Sink) {
        self.orphans.retain(|&k| k != orphan);
        if let Some(life) = self.life_mut(orphan) {
            life.wait = Wait::No;
            life.attached = true;
        }
        self.pump(orphan, sink);
    }

    /// It has waited too long for its creator: the most recent candidate is taken.
    pub(crate) fn guess(&mut self, orphan: Key, sink: Sink) {
        let place = self.life(orphan).map(|l| l.first).unwrap_or_default();
        match self.candidates(orphan).last().copied() {
            Some(parent) => {
                self.report.tally(Case::GuessedParent, place);
                self.adopt(parent, orphan, place, sink);
            }
            None => self.let_go(orphan, sink),
        }
    }
}
