//! The threads of one log: which live, and which belong to one group.

use super::pool::{Key, Pool};
use super::report::{Report, WarningKind};
use super::thread::{Group, SigHandlers, Thread, Wait};
use crate::event::{Event, EventKind, Place, Sink, Tid};
use crate::trace::syntax::dispositions::ActionsSeen;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// The largest number of remembered threads of each of these kinds: threads that ended in a way
/// that may have no line, and children without a line.
const MAX_REMEMBERED: usize = 4096;
/// The largest number in a log whose lines name threads (-f). In such a log nearly all of these
/// threads have a line in the end.
const MAX_REMEMBERED_BY_NAME: usize = 1 << 16;

/// The id of a child that may have been made, until the log names the child. It is the id of no
/// thread.
pub(crate) const UNNAMED: Tid = Tid::MAX;

/// A map by thread id.
pub(crate) type ByTid<T> = FxHashMap<Tid, T>;
/// A set of thread ids.
pub(crate) type Tids = FxHashSet<Tid>;

/// What the first pass over a family of files has found.
#[derive(Debug, Default)]
pub(crate) struct FamilyIndex {
    /// By thread: the number of the set of threads that share its signal actions.
    pub sets: ByTid<usize>,
    /// By set: what its threads set signals to.
    pub seen: Vec<ActionsSeen>,
    /// The threads that have a file.
    pub members: Tids,
    /// Threads that were running when the log began and have ended. The files are read one after
    /// another, but the threads ran together. So their ends are emitted together, when the family
    /// has been read.
    pub ended: ByTid<Place>,
}

/// The threads of one log.
#[derive(Debug)]
pub(crate) struct State {
    pub report: Report,
    pub threads: Pool<Thread>,
    pub groups: Pool<Group>,
    pub sighands: Pool<SigHandlers>,
    pub by_tid: ByTid<Key>,
    /// Threads that ended or changed their id while events under that id still wait.
    pub retired: ByTid<Key>,
    /// Threads in a clone-like call whose child is not known, in the order of their calls.
    pub clones: Vec<Key>,
    /// Threads that wait for their creator.
    pub orphans: Vec<Key>,
    /// The number of the next undecided signal.
    pub next_signal: u64,
    /// The number of events that wait, of all threads.
    pub delayed: usize,
    /// Threads whose group is ending.
    dying: VecDeque<Key>,
    /// Children without a line so far.
    unspoken: VecDeque<Key>,
    /// A child without a line so far, whose creator was killed inside of the call that may have
    /// made the child.
    pub unnamed_child: Option<Key>,
    /// Threads that made their exit call and whose `+++ exited` has not come.
    pub exited: VecDeque<Tid>,
    /// What the first pass has found, while a family of files is read.
    pub family: Option<FamilyIndex>,
    /// Groups of threads that exited without an exit call, and where. Whether the group ended is
    /// known when the family has been read.
    pub exits_to_check: Vec<(Key, Place)>,
    /// Some line names a thread.
    pub named: bool,
    /// The log begins with an exec, so that every other thread's creation is in the log.
    pub from_start: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        State {
            report: Report::default(),
            threads: Pool::new(),
            groups: Pool::new(),
            sighands: Pool::new(),
            by_tid: ByTid::default(),
            retired: ByTid::default(),
            clones: Vec::new(),
            orphans: Vec::new(),
            next_signal: 0,
            delayed: 0,
            dying: VecDeque::new(),
            unspoken: VecDeque::new(),
            unnamed_child: None,
            exited: VecDeque::new(),
            family: None,
            exits_to_check: Vec::new(),
            named: false,
            from_start: false,
        }
    }

    pub(crate) fn thread(&self, key: Key) -> Option<&Thread> {
        self.threads.get(key)
    }

    pub(crate) fn thread_mut(&mut self, key: Key) -> Option<&mut Thread> {
        self.threads.get_mut(key)
    }

    /// The living thread of this id.
    pub(crate) fn find(&self, tid: Tid) -> Option<Key> {
        self.by_tid.get(&tid).copied()
    }

    /// Adds a thread of unknown past.
    pub(crate) fn attach(&mut self, tid: Tid, place: Place, sink: Sink) -> Key {
        let group = self.groups.add(Group::of(tid));
        let sighand = self.sighands.add(SigHandlers::unknown());
        let key = self.add(tid, group, sighand, place, sink);
        if let Some(thread) = self.thread_mut(key) {
            thread.attached = true;
        }
        key
    }

    /// Adds a thread, which takes over one use of `group` and of `sighand`. A living thread of the
    /// same id has ended without a line.
    pub(crate) fn add(
        &mut self,
        tid: Tid,
        group: Key,
        sighand: Key,
        place: Place,
        sink: Sink,
    ) -> Key {
        if let Some(old) = self.find(tid) {
            self.end(old, place, sink);
        }
        self.emit_retired(tid, sink);
        self.report.threads += 1;
        let key = self.threads.add(Thread {
            tid,
            created_as: tid,
            alias: None,
            group,
            sighand,
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

    /// A call has returned a child without a line so far. Without -f no child ever has one, so past
    /// a limit the oldest of these children is ended.
    pub(crate) fn remember_unspoken(&mut self, key: Key, sink: Sink) {
        if self.family.is_some() {
            return;
        }
        self.unspoken.push_back(key);
        if self.unspoken.len() > self.remembered()
            && let Some(old) = self.unspoken.pop_front()
            && let Some(place) = self.thread(old).filter(|t| !t.spoke).map(|t| t.first)
        {
            self.end(old, place, sink);
        }
    }

    /// The child without a line so far, if there is exactly one such child.
    pub(crate) fn only_unspoken(&mut self) -> Option<Key> {
        // Only the two oldest are looked at: to look through all of them each time would take too
        // long.
        for at in 0..2 {
            while let Some(&key) = self.unspoken.get(at) {
                if self.thread(key).is_some_and(|t| !t.spoke && !t.ended) {
                    break;
                }
                self.unspoken.remove(at);
            }
        }
        self.unspoken.front().copied().filter(|_| self.unspoken.len() == 1)
    }

    fn remembered(&self) -> usize {
        if self.named {
            MAX_REMEMBERED_BY_NAME
        } else {
            MAX_REMEMBERED
        }
    }

    /// The group ends: its threads but `except` will end without a call of their own. strace up to
    /// 4.6 does not say when, so past a limit the oldest such threads are ended.
    pub(crate) fn end_group(&mut self, group: Key, except: Key, place: Place, sink: Sink) {
        if let Some(g) = self.groups.get_mut(group) {
            g.dying = true;
        }
        if self.family.is_some() || self.groups.users(group) < 2 {
            return;
        }
        let others =
            self.threads.iter().filter(|&(k, t)| k != except && t.group == group && !t.ended);
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
        let Some(thread) = self.thread(key).filter(|t| !t.ended) else { return };
        let (tid, alias, group, sighand) = (thread.tid, thread.alias, thread.group, thread.sighand);
        let attached = thread.attached;
        self.close_call(key, sink);
        self.decide_all(key, sink);
        match self.family.as_mut() {
            Some(family) if attached => drop(family.ended.insert(tid, place)),
            _ => self.emit(key, EventKind::End, place, sink),
        }
        for id in [Some(tid), alias].into_iter().flatten() {
            if self.by_tid.get(&id) == Some(&key) {
                self.by_tid.remove(&id);
            }
        }
        self.groups.release(group);
        self.sighands.release(sighand);
        if let Some(thread) = self.thread_mut(key) {
            thread.ended = true;
        }
        // The log never named the child, so it is not counted.
        self.report.threads -= u64::from(tid == UNNAMED);
        self.emit_ready(key, sink);
        if self.thread(key).is_some() {
            self.retired.insert(tid, key);
        }
    }

    /// The thread has made its exit call. `+++ exited` need not follow (strace up to 4.6, -qq).
    pub(crate) fn exit(&mut self, key: Key, whole_group: bool, place: Place, sink: Sink) {
        let Some(thread) = self.thread(key) else { return };
        let (tid, group) = (thread.alias.unwrap_or(thread.tid), thread.group);
        if whole_group {
            self.end_group(group, key, place, sink);
        }
        if self.exited.len() >= MAX_REMEMBERED {
            self.exited.pop_front();
        }
        self.exited.push_back(tid);
        self.end(key, place, sink);
    }

    /// A thread has a line `+++ exited with`. If neither the thread nor its group made an exit
    /// call, the log is filtered.
    pub(crate) fn check_exit(&mut self, key: Key, place: Place) {
        let Some(group) = self.thread(key).map(|t| t.group) else { return };
        if self.family.is_some() {
            self.exits_to_check.push((self.groups.share(group), place));
            return;
        }
        let dying = self.groups.get(group).is_some_and(|g| g.dying)
            || self.threads.iter().any(|(k, t)| k != key && t.group == group && t.in_exec());
        if !dying {
            self.report.warn(WarningKind::Filtered, place);
        }
    }

    /// A thread goes on under the id of its leader, which the thread's exec has ended.
    pub(crate) fn rename(&mut self, key: Key, tid: Tid, place: Place, sink: Sink) {
        if let Some(leader) = self.find(tid).filter(|&k| k != key) {
            self.end(leader, place, sink);
        }
        self.emit_retired(tid, sink);
        self.emit(key, EventKind::Renamed(tid), place, sink);
        let Some(thread) = self.thread_mut(key) else { return };
        let old = thread.tid;
        thread.tid = tid;
        let waits = !thread.queue.is_empty();
        if self.by_tid.get(&old) == Some(&key) {
            self.by_tid.remove(&old);
        }
        if waits {
            self.retired.insert(old, key);
        }
        self.by_tid.insert(tid, key);
    }

    /// The log is over: all threads end, and the state is as new. The report stays.
    pub(crate) fn finish(&mut self, place: Place, sink: Sink) {
        while let Some(&orphan) = self.orphans.first() {
            self.guess_creator(orphan, sink);
        }
        for (group, place) in std::mem::take(&mut self.exits_to_check) {
            if !self.groups.get(group).is_some_and(|g| g.dying) {
                self.report.warn(WarningKind::Filtered, place);
            }
            self.groups.release(group);
        }
        for key in self.threads.keys() {
            let Some(thread) = self.thread(key).filter(|t| !t.ended) else { continue };
            let has_no_lines = match &self.family {
                Some(family) => !family.members.contains(&thread.tid),
                None => !self.named,
            };
            if !thread.spoke && !thread.attached && has_no_lines {
                let first = thread.first;
                self.report.warn(WarningKind::ChildMissing, first);
            }
            self.end(key, place, sink);
        }
        for key in self.threads.keys() {
            self.emit_all(key, sink);
        }
        let ended = self.family.take().map(|f| f.ended).unwrap_or_default();
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
