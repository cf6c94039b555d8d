//! The files of one `strace -ff`: a file a thread, all of one pid space.
//!
//! The files have no common order, so creators are read before those whom they made. A first pass
//! finds out who made whom, and what threads that share one table of signal actions do to it.

use super::reader::Reader;
use crate::event::{Event, Place, Sink, Tid};
use crate::trace::syntax::args;
use crate::trace::syntax::body::{self, Body};
use crate::trace::syntax::columns;
use crate::trace::syntax::dispositions::{sigaction, Action, Seen};
use crate::trace::syntax::ending::{child, value, Ending};
use crate::trace::syntax::lines::Lines;
use crate::trace::threads::state::{ByTid, Kin, Tids};
use std::io::{self, BufRead};

/// One file of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The file's index, for places.
    pub file: u32,
    /// The thread, from the file's name.
    pub pid: Tid,
}

/// What the first pass finds in a file.
#[derive(Debug, Default)]
struct Found {
    /// Its lines name threads: it is a log of its own.
    log: bool,
    /// The programs that its thread ran, one after another.
    programs: Vec<Program>,
    /// The threads whose exec ended its thread.
    superseded_by: Vec<Tid>,
}

/// What a thread does from one exec to the next: each program has a table of signal actions of its
/// own.
#[derive(Debug, Default)]
struct Program {
    /// The children that it made, and whether they share its table.
    children: Vec<(Tid, bool)>,
    /// What it sets signals to.
    seen: Seen,
}

/// A member's file on its way.
struct Opened<R> {
    index: usize,
    lines: Lines<R>,
}

impl Reader {
    /// Reads the files of one `strace -ff -o FILE`: one pid space. `open` is called with a member's
    /// index, twice for each. Members whose lines name threads are read as logs of their own.
    ///
    /// # Errors
    ///
    /// Those of `open` and of the inputs. The events so far have gone out, and the threads are
    /// ended.
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
        let result = self.read_kin(members, &family, &found, open, sink);
        if !family.is_empty() {
            let place = self.log.place;
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

    /// Reads the files, creators first.
    fn read_kin<R: BufRead>(
        &mut self,
        members: &[Member],
        family: &[usize],
        found: &[Found],
        open: &mut dyn FnMut(usize) -> io::Result<R>,
        sink: Sink,
    ) -> io::Result<()> {
        let pids: ByTid<usize> =
            family.iter().filter_map(|&index| Some((members.get(index)?.pid, index))).collect();
        self.state.kin = Some(kin(members, family, found, &pids));
        // A thread whose exec supersedes its leader is not over with its file.
        let mut goes_on: Tids = Tids::default();
        let mut made: Tids = Tids::default();
        for found in found {
            goes_on.extend(&found.superseded_by);
            made.extend(found.children());
        }
        let mut done = vec![false; members.len()];
        let mut waiting: Vec<(Tid, Opened<R>)> = Vec::new();
        let pid = |index: usize| members.get(index).map_or(0, |m| m.pid);
        // Roots first; what is left after them was made by somebody whose file is not there, or by
        // each other (ids that came again).
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
            // Those whom it made, and whose creation has been told.
            let children: Vec<Tid> =
                found.get(index).into_iter().flat_map(Found::children).collect();
            let ready = children.iter().rev().filter(|&&t| self.state.find(t).is_some());
            next.extend(
                ready
                    .filter_map(|t| pids.get(t))
                    .filter(|&&i| !done.get(i).copied().unwrap_or(true)),
            );
        }
    }

    /// Reads one file to its end, or until its thread is superseded by another; then that one's id
    /// and the rest are returned.
    fn read_member<R: BufRead>(
        &mut self,
        mut opened: Opened<R>,
        file: u32,
        pid: Tid,
        goes_on: &Tids,
        sink: Sink,
    ) -> io::Result<Option<(Tid, Opened<R>)>> {
        self.speaker.only = Some(pid);
        self.superseded_by = None;
        let ended = opened.lines.each(|raw| {
            self.line(file, raw, sink);
            self.superseded_by.is_none()
        })?;
        if let Some(by) = self.superseded_by.take().filter(|_| !ended) {
            return Ok(Some((by, opened)));
        }
        if let Some(key) = self.state.find(pid) {
            let parked = goes_on.contains(&pid)
                && self.state.life(key).is_some_and(crate::trace::threads::thread::Life::in_exec);
            if !parked {
                self.give_up_broken();
                let place = Place { file, line: opened.lines.count() };
                self.state.end(key, place, sink);
            }
        }
        Ok(None)
    }

    /// The thread `by` goes on as its leader, whose file has the rest.
    fn supersede(&mut self, by: Tid, leader: Tid, sink: Sink) {
        if let Some(key) = self.state.find(by) {
            let place = self.log.place;
            self.state.rename(key, leader, place, sink);
        }
    }
}

/// Whether a thread's file has been read, up to the exec that makes it its leader.
fn is_read(tid: Tid, pids: &ByTid<usize>, done: &[bool]) -> bool {
    pids.get(&tid).is_some_and(|&index| done.get(index).copied().unwrap_or(true))
}

/// Who shares a table with whom, and what they do to it.
fn kin(members: &[Member], family: &[usize], found: &[Found], pids: &ByTid<usize>) -> Kin {
    // All programs of all files in one row; a child begins in the program of its creator, as its
    // own first.
    let mut firsts = Vec::new();
    let mut seen = Vec::new();
    for file in found {
        firsts.push(seen.len());
        seen.extend(file.programs.iter().map(|p| p.seen.clone()));
    }
    let mut set_of: Vec<usize> = (0..seen.len()).collect();
    let mut kin = Kin { seen, ..Kin::default() };
    for &index in family {
        let programs = found.get(index).map(|f| f.programs.as_slice()).unwrap_or_default();
        for (program, own) in programs.iter().zip(firsts.get(index).copied().unwrap_or_default()..)
        {
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
                let theirs = kin.seen.get(from).cloned().unwrap_or_default();
                if let Some(seen) = kin.seen.get_mut(into) {
                    seen.unite(&theirs);
                }
            }
        }
    }
    for &index in family {
        let set = firsts.get(index).and_then(|&first| set_of.get(first));
        if let (Some(member), Some(&set)) = (members.get(index), set) {
            kin.sets.insert(member.pid, set);
            kin.members.insert(member.pid);
        }
    }
    kin
}

/// What a call that is still open would tell.
enum Telling {
    Child(Option<args::Sharing>),
    Sets(Option<(u8, Action)>),
    NextProgram,
}

fn first_pass(input: impl BufRead) -> io::Result<Found> {
    let mut found = Found { programs: vec![Program::default()], ..Found::default() };
    let mut open: Option<Telling> = None;
    Lines::new(input).each(|raw| {
        let mut scratch = Vec::new();
        let line = crate::trace::syntax::colour::plain(raw.text, &mut scratch);
        let columns = columns::split(line);
        match body::parse(columns.body) {
            Body::Call { name, rest, .. } => {
                found.log = columns.tid.is_some();
                open = telling(name, rest);
                found.tell(&mut open, rest);
            }
            Body::Resumed { rest, .. } => found.tell(&mut open, rest),
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

fn telling(name: &[u8], rest: &[u8]) -> Option<Telling> {
    match name {
        b"clone" | b"clone3" => Some(Telling::Child(args::sharing(rest))),
        b"fork" | b"vfork" => Some(Telling::Child(Some(args::Sharing::default()))),
        b"rt_sigaction" | b"sigaction" => Some(Telling::Sets(sigaction(rest))),
        b"execve" | b"execveat" => Some(Telling::NextProgram),
        _ => None,
    }
}

impl Found {
    /// The children that the thread made, in all its programs.
    fn children(&self) -> impl Iterator<Item = Tid> + '_ {
        self.programs.iter().flat_map(|p| &p.children).map(|&(tid, _)| tid)
    }

    fn tell(&mut self, open: &mut Option<Telling>, rest: &[u8]) {
        if open.is_none() {
            return;
        }
        let Ending::Result { args, result } = Ending::of(rest) else { return };
        let Some(program) = self.programs.last_mut() else { return };
        match open.take() {
            Some(Telling::Child(sharing)) => {
                let shares = sharing.or_else(|| args::sharing(args)).unwrap_or_default().sighand;
                program.children.extend(child(result).map(|tid| (tid, shares)));
            }
            Some(Telling::Sets(Some((signal, action)))) if value(result) == Some(0) => {
                program.seen.add(signal, action);
            }
            Some(Telling::NextProgram) if value(result) == Some(0) => {
                self.programs.push(Program::default());
            }
            _ => {}
        }
    }
}
