//! The threads of one log: who lives, who belongs to whom.

use super::pool::{Key, Pool};
use super::report::{Case, Report};
use super::thread::{Group, Life, Table, Wait};
use crate::event::{Event, EventKind, Place, Sink, Tid};
use crate::trace::syntax::dispositions::{Dispositions, Seen};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// Threads that ended in a way that may have no line of its own, and children that never spoke: so
/// many are remembered.
const REMEMBERED: usize = 4096;
/// The same where lines name their threads (-f): all of these will most probably be heard of.
const REMEMBERED_BY_NAME: usize = 1 << 16;

/// The id of a child that may have been made, while the log has not named it. No thread has it.
pub(crate) const UNBORN: Tid = Tid::MAX;

/// A map by thread id.
pub(crate) type ByTid<T> = FxHashMap<Tid, T>;
/// A set of thread ids.
pub(crate) type Tids = FxHashSet<Tid>;

/// What is known of a family of files before they are read for good.
#[derive(Debug, Default)]
pub(crate) struct Kin {
    /// The set of threads with one signal table, by thread.
    pub sets: ByTid<usize>,
    /// What each set's members do to the table.
    pub seen: Vec<Seen>,
    /// Threads that have a file.
    pub members: Tids,
    /// Threads that were running before and have ended. The files come one after another, but the
    /// threads ran together: their ends go out together, when the family has been read.
    pub ended: ByTid<Place>,
}

/// The threads of one log.
#[derive(Debug)]
pub(crate) struct State {
    pub report: Report,
    pub lives: Pool<Life>,
    pub groups: Pool<Group>,
    pub tables: Pool<Table>,
    pub by_tid: ByTid<Key>,
    /// Threads that no longer have this id, but of which events under it still wait.
    pub ghosts: ByTid<Key>,
    /// Threads in a clone-like call whose child is not known, in the order of their calls.
    pub clones: Vec<Key>,
    /// Threads that wait for their creator.
    pub orphans: Vec<Key>,
    /// Number for the next undecided signal.
    pub next_signal: u64,
    /// How many events wait, of all threads.
    pub held: usize,
    /// Threads whose group is ending.
    dying: VecDeque<Key>,
    /// Children that have not spoken.
    unspoken: VecDeque<Key>,
    /// The child of a thread that was killed inside the call that may have made it, until it
    /// speaks.
    pub unborn: Option<Key>,
    /// Threads that made their exit call and have not been reported gone.
    pub exited: VecDeque<Tid>,
    /// Set while a family of files is read.
    pub kin: Option<Kin>,
    /// Threads that exited without an exit call, to be judged when the family is read.
    pub suspects: Vec<(Key, Place)>,
    /// Some line names its thread.
    pub named: bool,
    /// The log begins with an exec: every thread in it has a creator in it.
    pub from_start: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            report: Report::default(),
            lives: Pool::new(),
            groups: Pool::new(),
            tables: Pool::new(),
            by_tid: ByTid::default(),
            ghosts: ByTid::default(),
            clones: Vec::new(),
            orphans: Vec::new(),
            next_signal: 0,
            held: 0,
            dying: VecDeque::new(),
            unspoken: VecDeque::new(),
            unborn: None,
            exited: VecDeque::new(),
            kin: None,
            suspects: Vec::new(),
            named: false,
            from_start: false,
        }
    }

    pub(crate) fn life(&self, key: Key) -> Option<&Life> {
        self.lives.get(key)
    }

    pub(crate) fn life_mut(&mut self, key: Key) -> Option<&mut Life> {
        self.lives.get_mut(key)
    }

    /// The living thread of this id.
    pub(crate) fn find(&self, tid: Tid) -> Option<Key> {
        self.by_tid.get(&tid).copied()
    }

    /// A thread of an unknown past.
    pub(crate) fn attach(&mut self, tid: Tid, place: Place, sink: Sink) -> Key {
        let group = self.groups.add(Group::of(tid));
        let table = self.tables.add(Table { actions: Dispositions::unknown(), set: None });
        let key = self.add(tid, group, table, place, sink);
        if let Some(life) = self.life_mut(key) {
            life.attached = true;
        }
        key
    }

    /// A thread, with its references to a group and a table. A living one of the same id has ended
    /// unnoticed.
    pub(crate) fn add(
        &mut self,
        tid: Tid,
        group: Key,
        table: Key,
        place: Place,
        sink: Sink,
    ) -> Key {
        if let Some(old) = self.find(tid) {
            self.end(old, place, sink);
        }
        self.lay(tid, sink);
        self.report.threads += 1;
        let key = self.lives.add(Life {
            tid,
            born: tid,
            alias: None,
            group,
            table,
            abi: None,
            open: None,
            handlers: VecDeque::new(),
            returns: 0,
            last_guess: None,
            queue: VecDeque::new(),
            wait: Wait::No,
            parent: None,
            spoke: false,
            attached: false,
            ended: false,
            first: place,
            line: place.line,
            before: 0,
            becomes: None,
        });
        self.by_tid.insert(tid, key);
        key
    }

    /// A child that a call has returned may never speak: without -f none does. So that they do not
    /// pile up, the oldest is given up.
    pub(crate) fn remember_unspoken(&mut self, key: Key, sink: Sink) {
        if self.kin.is_some() {
            return;
        }
        self.unspoken.push_back(key);
        if self.unspoken.len() > self.remembered() {
            if let Some(old) = self.unspoken.pop_front() {
                if let Some(place) = self.life(old).filter(|l| !l.spoke).map(|l| l.first) {
                    self.end(old, place, sink);
                }
            }
        }
    }

    /// The child that has not spoken, if there is exactly one such child.
    pub(crate) fn only_unspoken(&mut self) -> Option<Key> {
        // Of the two oldest only: to look through all of them each time would take too long.
        for at in 0..2 {
            while let Some(&key) = self.unspoken.get(at) {
                if self.life(key).is_some_and(|l| !l.spoke && !l.ended) {
                    break;
                }
                self.unspoken.remove(at);
            }
        }
        self.unspoken.front().copied().filter(|_| self.unspoken.len() == 1)
    }

    fn remembered(&self) -> usize {
        if self.named {
            REMEMBERED_BY_NAME
        } else {
            REMEMBERED
        }
    }

    /// The other threads of a group will end without a call of their own. strace up to 4.6 does not
    /// say when, so only so many are waited for.
    pub(crate) fn doom(&mut self, group: Key, except: Key, place: Place, sink: Sink) {
        if let Some(g) = self.groups.get_mut(group) {
            g.dying = true;
        }
        if self.kin.is_some() || self.groups.users(group) < 2 {
            return;
        }
        let others =
            self.lives.iter().filter(|&(k, l)| k != except && l.group == group && !l.ended);
        let others: Vec<Key> = others.map(|(k, _)| k).collect();
        self.dying.extend(others);
        while self.dying.len() > self.remembered() {
            if let Some(old) = self.dying.pop_front() {
                self.end(old, place, sink);
            }
        }
    }

    /// The thread has ended.
    pub(crate) fn end(&mut self, key: Key, place: Place, sink: Sink) {
        let Some(life) = self.life(key).filter(|l| !l.ended) else { return };
        let (tid, alias, group, table) = (life.tid, life.alias, life.group, life.table);
        let attached = life.attached;
        self.close(key, sink);
        self.decide_all(key, sink);
        match self.kin.as_mut() {
            Some(kin) if attached => drop(kin.ended.insert(tid, place)),
            _ => self.emit(key, EventKind::End, place, sink),
        }
        for id in [Some(tid), alias].into_iter().flatten() {
            if self.by_tid.get(&id) == Some(&key) {
                self.by_tid.remove(&id);
            }
        }
        self.groups.release(group);
        self.tables.release(table);
        if let Some(life) = self.life_mut(key) {
            life.ended = true;
        }
        // Nobody ever heard of it: it was not made.
        self.report.threads -= u64::from(tid == UNBORN);
        self.pump(key, sink);
        if self.life(key).is_some() {
            self.ghosts.insert(tid, key);
        }
    }

    /// The thread made its exit call. Its `+++ exited` may follow, or not (strace up to 4.6, -qq).
    pub(crate) fn exit(&mut self, key: Key, whole_group: bool, place: Place, sink: Sink) {
        let Some(life) = self.life(key) else { return };
        let (tid, group) = (life.alias.unwrap_or(life.tid), life.group);
        if whole_group {
            self.doom(group, key, place, sink);
        }
        if self.exited.len() >= REMEMBERED {
            self.exited.pop_front();
        }
        self.exited.push_back(tid);
        self.end(key, place, sink);
    }

    /// `+++ exited with`: without an exit call of its own or of a sibling the log is filtered.
    pub(crate) fn suspect(&mut self, key: Key, place: Place) {
        let Some(group) = self.life(key).map(|l| l.group) else { return };
        if self.kin.is_some() {
            self.suspects.push((self.groups.share(group), place));
            return;
        }
        let dying = self.groups.get(group).is_some_and(|g| g.dying)
            || self.lives.iter().any(|(k, l)| k != key && l.group == group && l.in_exec());
        if !dying {
            self.report.tally(Case::Filtered, place);
        }
    }

    /// A thread goes on under another id: that of its leader, whom its exec has ended.
    pub(crate) fn rename(&mut self, key: Key, tid: Tid, place: Place, sink: Sink) {
        if let Some(leader) = self.find(tid).filter(|&k| k != key) {
            self.end(leader, place, sink);
        }
        self.lay(tid, sink);
        self.emit(key, EventKind::Renamed(tid), place, sink);
        let Some(life) = self.life_mut(key) else { return };
        let old = life.tid;
        life.tid = tid;
        let waits = !life.queue.is_empty();
        if self.by_tid.get(&old) == Some(&key) {
            self.by_tid.remove(&old);
        }
        if waits {
            self.ghosts.insert(old, key);
        }
        self.by_tid.insert(tid, key);
    }

    /// The log is over: so are its threads.
    pub(crate) fn finish(&mut self, place: Place, sink: Sink) {
        while let Some(&orphan) = self.orphans.first() {
            self.guess(orphan, sink);
        }
        for (group, place) in std::mem::take(&mut self.suspects) {
            if !self.groups.get(group).is_some_and(|g| g.dying) {
                self.report.tally(Case::Filtered, place);
            }
            self.groups.release(group);
        }
        for key in self.lives.keys() {
            let Some(life) = self.life(key).filter(|l| !l.ended) else { continue };
            let unseen = match &self.kin {
                Some(kin) => !kin.members.contains(&life.tid),
                None => !self.named,
            };
            if !life.spoke && !life.attached && unseen {
                let first = life.first;
                self.report.tally(Case::ChildUnseen, first);
            }
            self.end(key, place, sink);
        }
        for key in self.lives.keys() {
            self.flush(key, sink);
        }
        let ended = self.kin.take().map(|k| k.ended).unwrap_or_default();
        let mut ended: Vec<(Place, Tid)> =
            ended.into_iter().map(|(tid, place)| (place, tid)).collect();
        ended.sort_unstable();
        for (place, tid) in ended {
            sink(Event { tid, place, kind: EventKind::End });
        }
        let report = std::mem::take(&mut self.report);
        *self = State { report, ..State::new() };
    }
}
