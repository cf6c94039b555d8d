//! The files of one `strace -ff`: one file for each thread, all of one pid space.
//!
//! The files have no common order, so a creator's file is read before its children's files. A first
//! pass finds out who made whom, and which signal actions are set by threads that share them.

use super::reader::Reader;
use crate::event::{Event, Place, Sink, Tid};
use crate::trace::syntax::args;
use crate::trace::syntax::body::{self, Body};
use crate::trace::syntax::colour;
use crate::trace::syntax::columns;
use crate::trace::syntax::dispositions::{sigaction, Action, ActionsSeen};
use crate::trace::syntax::ending::{child, value, Ending};
use crate::trace::syntax::lines::Lines;
use crate::trace::threads::state::{ByTid, FamilyIndex, Tids};
use crate::trace::threads::thread::Thread;
use std::io::{self, BufRead};

/// One file of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The file's index in [`Place`]s.
    pub file: u32,
    /// The thread, from the file's name.
    pub pid: Tid,
}

/// What the first pass finds in a file.
#[derive(Debug, Default)]
struct Found {
    /// The lines name threads: the file is a log of its own.
    log: bool,
    /// The programs that the file's thread ran, one after another.
    programs: Vec<Program>,
    /// The threads whose exec ended the file's thread.
    superseded_by: Vec<Tid>,
}

/// What a thread does from one exec to the next. Each program has signal actions of its own.
#[derive(Debug, Default)]
struct Program {
    /// The children that the program made, and whether they share its signal actions.
    children: Vec<(Tid, bool)>,
    /// What the program sets signals to.
    seen: ActionsSeen,
}

/// A member's file that is being read.
struct Opened<R> {
    index: usize,
    lines: Lines<R>,
}

impl Reader {
    /// Reads the files of one `strace -ff -o FILE`, which have one pid space. `open` is called with
    /// the index of a member, twice for each member. A member whose lines name threads is read as a
    /// log of its own.
    ///
    /// # Errors
    ///
    /// The errors of `open` and of the inputs. The events before the error are emitted, and the
    /// threads are ended.
    pub fn read_family<R: BufRead>(
        &mut self,
        members: &[Member],
        open: &mut dyn FnMut(usize) -> io::Result<R>,
        sink: &mut impl FnMut(Event),
    ) -> io::Result<()> {
        let mut found = Vec::new();
        for index in 0..members.len() {
            found.push(first_pass(open(index)?)?);
        }
        let family: Vec<usize> =
            found.iter().enumerate().filter(|(_, f)| !f.log).map(|(index, _)| index).collect();
        let result = self.read_members(members, &family, &found, open, sink);
        if !family.is_empty() {
            let place = self.interpreter.counts.place;
            self.finish(place, sink);
        }
        result?;
        for (index, _) in found.iter().enumerate().filter(|(_, f)| f.log) {
            if let Some(member) = members.get(index) {
                self.read_log(member.file, &mut open(index)?, sink)?;
            }
        }
        Ok(())
    }

    /// Reads the files of the family, creators first.
    fn read_members<R: BufRead>(
        &mut self,
        members: &[Member],
        family: &[usize],
        found: &[Found],
        open: &mut dyn FnMut(usize) -> io::Result<R>,
        sink: Sink,
    ) -> io::Result<()> {
        let pids: ByTid<usize> =
            family.iter().filter_map(|&index| Some((members.get(index)?.pid, index))).collect();
        self.interpreter.state.family = Some(family_index(members, family, found, &pids));
        // A thread whose exec supersedes its leader goes on after the end of its file.
        let mut goes_on: Tids = Tids::default();
        let mut made: Tids = Tids::default();
        for found in found {
            goes_on.extend(&found.superseded_by);
            made.extend(found.children());
        }
        let mut done = vec![false; members.len()];
        let mut waiting: Vec<(Tid, Opened<R>)> = Vec::new();
        let pid = |index: usize| members.get(index).map_or(0, |m| m.pid);
        // Threads that no member made come first. What is left after them was made by a thread
        // without a file, or was made by each other, where ids came again.
        let roots = family.iter().copied().filter(|&i| !made.contains(&pid(i)));
        let mut next: Vec<usize> = roots.collect();
        next.reverse();
        let mut left = family.iter().copied();
        loop {
            let opened =
                if let Some(at) = waiting.iter().position(|(by, _)| is_read(*by, &pids, &done)) {
                    let (by, opened) = waiting.swap_remove(at);
                    self.supersede(by, pid(opened.index), sink);
                    opened
                } else if let Some(index) = next.pop() {
                    if done.get(index).copied().unwrap_or(true) {
                        continue;
                    }
                    if let Some(done) = done.get_mut(index) {
                        *done = true;
                    }
                    Opened { index, lines: Lines::new(open(index)?) }
                } else if let Some(index) =
                    left.by_ref().find(|&i| !done.get(i).copied().unwrap_or(true))
                {
                    next.push(index);
                    continue;
                } else if let Some((by, opened)) = waiting.pop() {
                    self.supersede(by, pid(opened.index), sink);
                    opened
                } else {
                    return Ok(());
                };
            let index = opened.index;
            let file = members.get(index).map_or(0, |m| m.file);
            if let Some((by, opened)) =
                self.read_member(opened, file, pid(index), &goes_on, sink)?
            {
                waiting.push((by, opened));
            }
            // Next come the children whose creation has been read.
            let children: Vec<Tid> =
                found.get(index).into_iter().flat_map(Found::children).collect();
            let ready =
                children.iter().rev().filter(|&&t| self.interpreter.state.find(t).is_some());
            next.extend(
                ready
                    .filter_map(|t| pids.get(t))
                    .filter(|&&i| !done.get(i).copied().unwrap_or(true)),
            );
        }
    }

    /// Reads one file to its end. If another thread supersedes the file's thread, returns that
    /// thread's id and the rest of the file.
    fn read_member<R: BufRead>(
        &mut self,
        mut opened: Opened<R>,
        file: u32,
        pid: Tid,
        goes_on: &Tids,
        sink: Sink,
    ) -> io::Result<Option<(Tid, Opened<R>)>> {
        self.interpreter.speaker.only = Some(pid);
        self.interpreter.superseded_by = None;
        let ended = opened.lines.each(|raw| {
            self.line(file, raw, sink);
            self.interpreter.superseded_by.is_none()
        })?;
        if let Some(by) = self.interpreter.superseded_by.take().filter(|_| !ended) {
            return Ok(Some((by, opened)));
        }
        if let Some(key) = self.interpreter.state.find(pid) {
            let parked = goes_on.contains(&pid)
                && self.interpreter.state.thread(key).is_some_and(Thread::in_exec);
            if !parked {
                self.interpreter.report_cut_calls();
                let place = Place { file, line: opened.lines.count() };
                self.interpreter.state.end(key, place, sink);
            }
        }
        Ok(None)
    }

    /// The thread `by` goes on under its leader's id, in the rest of the leader's file.
    fn supersede(&mut self, by: Tid, leader: Tid, sink: Sink) {
        if let Some(key) = self.interpreter.state.find(by) {
            let place = self.interpreter.counts.place;
            self.interpreter.state.rename(key, leader, place, sink);
        }
    }
}

/// Whether a thread's file has been read, up to an exec that makes the thread the leader.
fn is_read(tid: Tid, pids: &ByTid<usize>, done: &[bool]) -> bool {
    pids.get(&tid).is_some_and(|&index| done.get(index).copied().unwrap_or(true))
}

/// Which threads share signal actions, and what they set the actions to.
fn family_index(
    members: &[Member],
    family: &[usize],
    found: &[Found],
    pids: &ByTid<usize>,
) -> FamilyIndex {
    // The programs of all files have one numbering. `firsts` has the number of each file's first
    // program.
    let mut firsts = Vec::new();
    let mut seen = Vec::new();
    for file in found {
        firsts.push(seen.len());
        seen.extend(file.programs.iter().map(|p| p.seen.clone()));
    }
    let mut set_of: Vec<usize> = (0..seen.len()).collect();
    let mut index = FamilyIndex { seen, ..FamilyIndex::default() };
    for &file in family {
        let programs = found.get(file).map(|f| f.programs.as_slice()).unwrap_or_default();
        for (program, own) in programs.iter().zip(firsts.get(file).copied().unwrap_or_default()..) {
            for (tid, _) in program.children.iter().filter(|(_, shares)| *shares) {
                let Some(&child) = pids.get(tid).and_then(|&file| firsts.get(file)) else {
                    continue;
                };
                let (Some(&into), Some(&from)) = (set_of.get(own), set_of.get(child)) else {
                    continue;
                };
                if into == from {
                    continue;
                }
                for set in set_of.iter_mut().filter(|s| **s == from) {
                    *set = into;
                }
                let theirs = index.seen.get(from).cloned().unwrap_or_default();
                if let Some(seen) = index.seen.get_mut(into) {
                    seen.unite(&theirs);
                }
            }
        }
    }
    for &file in family {
        let set = firsts.get(file).and_then(|&first| set_of.get(first));
        if let (Some(member), Some(&set)) = (members.get(file), set) {
            index.sets.insert(member.pid, set);
            index.members.insert(member.pid);
        }
    }
    index
}

/// A call of interest to the first pass that has not returned.
enum OpenCall {
    /// A clone-like call, and what it shares with the child.
    Clone(Option<args::Sharing>),
    /// `rt_sigaction`, and what it sets.
    Sigaction(Option<(u8, Action)>),
    Exec,
}

/// Finds what a file says about its thread's children and programs.
fn first_pass(input: impl BufRead) -> io::Result<Found> {
    let mut found = Found { programs: vec![Program::default()], ..Found::default() };
    let mut open: Option<OpenCall> = None;
    Lines::new(input).each(|raw| {
        let mut scratch = Vec::new();
        let line = colour::plain(raw.text, &mut scratch);
        let columns = columns::split(line);
        match body::parse(columns.body) {
            Body::Call { name, rest, .. } => {
                found.log = columns.tid.is_some();
                open = open_call(name, rest);
                found.call_returns(&mut open, rest);
            }
            Body::Resumed { rest, .. } => found.call_returns(&mut open, rest),
            Body::Superseded(by) => {
                found.superseded_by.push(by);
                found.programs.push(Program::default());
            }
            _ => {}
        }
        !found.log
    })?;
    Ok(found)
}

fn open_call(name: &[u8], rest: &[u8]) -> Option<OpenCall> {
    match name {
        b"clone" | b"clone3" => Some(OpenCall::Clone(args::sharing(rest))),
        b"fork" | b"vfork" => Some(OpenCall::Clone(Some(args::Sharing::default()))),
        b"rt_sigaction" | b"sigaction" => Some(OpenCall::Sigaction(sigaction(rest))),
        b"execve" | b"execveat" => Some(OpenCall::Exec),
        _ => None,
    }
}

impl Found {
    /// The children that the thread made in all its programs.
    fn children(&self) -> impl Iterator<Item = Tid> + '_ {
        self.programs.iter().flat_map(|p| &p.children).map(|&(tid, _)| tid)
    }

    /// Takes what the open call did, if this part of its line shows that the call succeeded.
    fn call_returns(&mut self, open: &mut Option<OpenCall>, rest: &[u8]) {
        if open.is_none() {
            return;
        }
        let Ending::Result { args, result } = Ending::of(rest) else { return };
        let Some(program) = self.programs.last_mut() else { return };
        match open.take() {
            Some(OpenCall::Clone(sharing)) => {
                let shares = sharing.or_else(|| args::sharing(args)).unwrap_or_default().sighand;
                program.children.extend(child(result).map(|tid| (tid, shares)));
            }
            Some(OpenCall::Sigaction(Some((signal, action)))) if value(result) == Some(0) => {
                program.seen.add(signal, action);
            }
            Some(OpenCall::Exec) if value(result) == Some(0) => {
                self.programs.push(Program::default());
            }
            _ => {}
        }
    }
}
