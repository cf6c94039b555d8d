//! Who made whom. A child may speak before its creator's call has returned.

use super::pool::Key;
use super::report::WarningKind;
use super::state::{State, UNNAMED};
use super::thread::{CallKind, Group, Handler, OpenCall, SigHandlers, Wait};
use crate::event::{EventKind, Place, Sink, Tid};
use crate::syscall::SIGNAL_MAX;
use crate::trace::syntax::args::Sharing;
use crate::trace::syntax::dispositions::Action;

impl State {
    /// A line is of a thread that was never seen.
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
        if let Some(thread) = self.thread_mut(key) {
            thread.wait = Wait::Creator;
            thread.attached = false;
        }
        self.orphans.push(key);
        key
    }

    /// What a thread's open clone-like call shares with the child, if the log says so.
    fn sharing(&self, key: Key) -> Option<Sharing> {
        match self.thread(key)?.open.as_ref()?.kind {
            CallKind::Clone { sharing, .. } => sharing,
            _ => None,
        }
    }

    /// The child of the parent's open call is known. Returns what the two share.
    fn resolve(&mut self, parent: Key, tid: Tid) -> Sharing {
        self.clones.retain(|&k| k != parent);
        match self.thread_mut(parent).and_then(|t| t.open.as_mut()) {
            Some(OpenCall { kind: CallKind::Clone { sharing, child }, .. }) => {
                *child = Some(tid);
                sharing.unwrap_or_default()
            }
            _ => Sharing::default(),
        }
    }

    /// Adds a thread that `parent` made in its open call.
    fn spawn(&mut self, parent: Key, tid: Tid, place: Place, sink: Sink) -> Key {
        let sharing = self.resolve(parent, tid);
        let (group, sighand) = self.inheritance(parent, sharing, tid);
        let key = self.add(tid, group, sighand, place, sink);
        let inherited = self.thread(parent).map(|t| (t.abi, t.handlers.clone()));
        if let (Some(thread), Some((abi, handlers))) = (self.thread_mut(key), inherited) {
            thread.abi = abi;
            thread.handlers = handlers;
        }
        self.emit_spawn(parent, key, sharing, place, sink);
        key
    }

    /// The group and the signal actions of a child, with one use more of each.
    fn inheritance(&mut self, parent: Key, sharing: Sharing, tid: Tid) -> (Key, Key) {
        let Some((group, sighand)) = self.thread(parent).map(|t| (t.group, t.sighand)) else {
            return (self.groups.add(Group::of(tid)), self.sighands.add(SigHandlers::unknown()));
        };
        let group =
            if sharing.thread { self.groups.share(group) } else { self.groups.add(Group::of(tid)) };
        if sharing.sighand {
            let set = self.family.as_ref().and_then(|f| f.sets.get(&tid).copied());
            if let Some(sighand) = self.sighands.get_mut(sighand) {
                sighand.set = sighand.set.or(set);
            }
            return (group, self.sighands.share(sighand));
        }
        let Some(mut own) = self.sighands.get(sighand).cloned() else {
            return (group, self.sighands.add(SigHandlers::unknown()));
        };
        if let (Some(set), Some(family)) = (own.set.take(), &self.family) {
            for signal in 1..=SIGNAL_MAX {
                let action = own.actions.get(signal);
                if family.seen.get(set).is_some_and(|s| !s.agrees(signal, action)) {
                    own.actions.set(signal, Action::Unknown);
                }
            }
        }
        if sharing.clear {
            own.actions.clear_handlers();
        }
        (group, self.sighands.add(own))
    }

    /// Emits the child's `Spawn`. If the event has to wait in the parent's queue, the child's queue
    /// waits for the event.
    fn emit_spawn(&mut self, parent: Key, child: Key, sharing: Sharing, place: Place, sink: Sink) {
        let Some(tid) = self.thread(child).map(|t| t.created_as) else { return };
        if let Some(thread) = self.thread_mut(child) {
            thread.wait = Wait::Creation;
            thread.parent = Some(parent);
        }
        let event = EventKind::Spawn { child: tid, same_group: sharing.thread };
        if self.emit_for(parent, event, place, Some(child), sink) {
            if let Some(thread) = self.thread_mut(child) {
                thread.wait = Wait::No;
                thread.parent = None;
            }
            self.emit_ready(child, sink);
        }
    }

    /// The creator of a thread that waited for it is known. The thread inherits what it has not set
    /// itself meanwhile.
    fn assign_creator(&mut self, parent: Key, orphan: Key, place: Place, sink: Sink) {
        self.orphans.retain(|&k| k != orphan);
        let Some((tid, old_group, old_sighand, ended)) =
            self.thread(orphan).map(|t| (t.created_as, t.group, t.sighand, t.ended))
        else {
            return;
        };
        let sharing = self.resolve(parent, tid);
        if !ended {
            let (group, sighand) = self.inheritance(parent, sharing, tid);
            let own = self.sighands.get(old_sighand).map(|t| t.actions.clone());
            if let (Some(own), Some(sighand)) = (own, self.sighands.get_mut(sighand)) {
                let mut merged = own;
                merged.fill_from(&sighand.actions);
                sighand.actions = merged;
            }
            self.groups.release(old_group);
            self.sighands.release(old_sighand);
            let inherited = self.thread(parent).map(|t| (t.abi, t.handlers.clone()));
            if let (Some(thread), Some((abi, handlers))) = (self.thread_mut(orphan), inherited) {
                thread.group = group;
                thread.sighand = sighand;
                thread.abi = thread.abi.or(abi);
                let mut all = handlers;
                for _ in 0..thread.returns {
                    all.pop_back();
                }
                all.append(&mut thread.handlers);
                thread.handlers = all;
            }
            self.settle_signals(orphan, sink);
        }
        self.emit_spawn(parent, orphan, sharing, place, sink);
    }

    /// Decides the signals that were undecided only because the creator was not known.
    fn settle_signals(&mut self, key: Key, sink: Sink) {
        let Some(thread) = self.thread(key) else { return };
        let sighand = thread.sighand;
        let own: Vec<(u64, u8)> = thread
            .handlers
            .iter()
            .filter_map(|h| match *h {
                Handler::Undecided { id, signal, origin } if origin == key => Some((id, signal)),
                _ => None,
            })
            .collect();
        for (id, signal) in own {
            if let Some(runs) =
                self.sighands.get(sighand).and_then(|t| t.actions.get(signal).runs())
            {
                self.decide(key, id, runs, sink);
            }
        }
    }

    /// A thread has entered a clone-like call.
    pub(crate) fn enters_clone(&mut self, key: Key) {
        if self.family.is_none() {
            self.clones.push(key);
        }
    }

    /// The thread is no longer in its open call.
    pub(crate) fn close_call(&mut self, key: Key, sink: Sink) {
        let Some(open) = self.thread_mut(key).and_then(|t| t.open.take()) else { return };
        if matches!(open.kind, CallKind::Clone { .. }) {
            self.clones.retain(|&k| k != key);
            self.settle_orphans(sink);
        }
    }

    /// A thread was killed, by a sibling's exec or exit or by a signal. If that was inside of a
    /// clone-like call, the call may have made a child all the same. No result names the child, and
    /// its lines come later.
    pub(crate) fn may_leave_child(&mut self, key: Key, place: Place, sink: Sink) {
        let made = match self.thread(key).and_then(|t| t.open.as_ref()).map(|o| &o.kind) {
            // A child of the same group is killed with the thread.
            Some(CallKind::Clone { sharing: Some(sharing), child: None }) => !sharing.thread,
            _ => false,
        };
        if made && self.named && self.from_start && self.family.is_none() {
            self.unnamed_child = Some(self.spawn(key, UNNAMED, place, sink));
        }
    }

    /// Takes the child that [`State::may_leave_child`] has added, if the child has not ended.
    pub(crate) fn take_unnamed_child(&mut self) -> Option<Key> {
        self.unnamed_child.take().filter(|&k| self.thread(k).is_some_and(|t| !t.ended))
    }

    /// The thread's open clone-like call has returned `tid`.
    pub(crate) fn returns_child(
        &mut self,
        key: Key,
        tid: Tid,
        late: Option<Sharing>,
        place: Place,
        sink: Sink,
    ) {
        let Some(open) = self.thread_mut(key).and_then(|t| t.open.as_mut()) else { return };
        let CallKind::Clone { sharing, child } = &mut open.kind else { return };
        *sharing = sharing.or(late);
        let child = *child;
        // No call returns its own thread.
        if self.find(tid) == Some(key) {
            self.close_call(key, sink);
            return;
        }
        let before = self.thread(key).map_or(0, |t| t.before);
        match child {
            Some(known) if known == tid => {}
            Some(_) => {
                // In a pid namespace the call returns another number than the log has. The child's
                // line came first, so the child is known. If the number is that of a thread that
                // waits for its creator, then that thread is the child, and the guess was wrong.
                if let Some(orphan) = self.orphan(tid, key) {
                    self.report.warn(WarningKind::GuessedParent, place);
                    self.assign_creator(key, orphan, place, sink);
                }
            }
            None => {
                // -z prints a call when it returns. The child's lines came before, and its past is
                // lost.
                let early = self
                    .find(tid)
                    .and_then(|k| self.thread(k))
                    .is_some_and(|t| t.attached && t.first.line > before);
                if let Some(orphan) = self.orphan(tid, key) {
                    self.assign_creator(key, orphan, place, sink);
                } else if early && self.family.is_none() {
                    self.resolve(key, tid);
                } else {
                    let child = self.spawn(key, tid, place, sink);
                    self.remember_unspoken(child, sink);
                }
            }
        }
        self.close_call(key, sink);
        self.settle_orphans(sink);
    }

    /// Ends the wait of threads for which one possible creator is left, or none.
    fn settle_orphans(&mut self, sink: Sink) {
        while let Some(&orphan) = self.orphans.first() {
            match self.candidates(orphan).as_slice() {
                [] => self.without_creator(orphan, sink),
                &[parent] if self.sharing(parent).is_some() => {
                    let place = self.thread(orphan).map(|t| t.first).unwrap_or_default();
                    self.assign_creator(parent, orphan, place, sink);
                }
                _ => return,
            }
        }
    }

    /// The threads that may have made `orphan`: those in a clone-like call that do not descend from
    /// it.
    fn candidates(&self, orphan: Key) -> Vec<Key> {
        self.clones.iter().copied().filter(|&k| !self.waits_for(k, orphan)).collect()
    }

    fn waits_for(&self, key: Key, ancestor: Key) -> bool {
        let mut at = Some(key);
        for _ in 0..=self.threads.len() {
            match at {
                Some(k) if k == ancestor => return true,
                Some(k) => at = self.thread(k).and_then(|t| t.parent),
                None => return false,
            }
        }
        true
    }

    /// The thread of this id that waits for its creator, if `parent` may be that. The thread may
    /// have ended.
    fn orphan(&self, tid: Tid, parent: Key) -> Option<Key> {
        self.orphans.iter().copied().find(|&k| {
            self.thread(k).is_some_and(|t| t.created_as == tid) && !self.waits_for(parent, k)
        })
    }

    /// No thread can have made `orphan`: its past is unknown.
    fn without_creator(&mut self, orphan: Key, sink: Sink) {
        self.orphans.retain(|&k| k != orphan);
        if let Some(thread) = self.thread_mut(orphan) {
            thread.wait = Wait::No;
            thread.attached = true;
        }
        self.emit_ready(orphan, sink);
    }

    /// A thread has waited too long for its creator: the thread that entered its call last is
    /// taken.
    pub(crate) fn guess_creator(&mut self, orphan: Key, sink: Sink) {
        let place = self.thread(orphan).map(|t| t.first).unwrap_or_default();
        match self.candidates(orphan).last().copied() {
            Some(parent) => {
                self.report.warn(WarningKind::GuessedParent, place);
                self.assign_creator(parent, orphan, place, sink);
            }
            None => self.without_creator(orphan, sink),
        }
    }
}
