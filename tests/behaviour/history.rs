//! What a run has written down, and what the kernel has reported of it, against the model.
//!
//! What a task did is known in order, but for one thing: whether a call that a handler has
//! interrupted at its instruction was made before, and is made once more. So a task is in a set of
//! possible states. Each call must be judged as in one of them, and those in which it is judged
//! otherwise are dropped. A call that was let pass, and is a violation in all of them, is one that
//! no lawful history allows.

use crate::model::{Delivery, Mode, Place, Table, Task, Why, BEFORE};
use std::collections::{BTreeMap, BTreeSet};
use sysfsm_fixtures::behaviour::{flag, kind, Record, NONE, SLOTS};

/// The call in which tasks wait to be adopted.
const FUTEX: u32 = 202;

/// Calls that the kernel may begin anew after a signal: `nanosleep`; those that make a task; and
/// those that exec, while another thread of the process does so (`prepare_bprm_creds`, fs/exec.c).
const RESTARTS: [u32; 7] = [35, 56, 57, 58, 59, 322, 435];

/// A program of a run: its policy, if it has one.
pub struct Program {
    /// The transitions.
    pub table: Option<Table>,
    /// Whether violations kill.
    pub mode: Mode,
    /// Whether the policy stays over the exec of a program without one.
    pub inherit: bool,
}

/// What is known of a run.
pub struct History<'a> {
    /// The records of each task.
    pub records: Vec<&'a [Record]>,
    /// By task and record, why the kernel has reported the call.
    pub reported: BTreeMap<(u32, u32), Vec<Why>>,
    /// Nothing was watched: the calls teach the tables.
    pub learn: bool,
    /// By slot, how many records its task had written when it was adopted.
    pub adopted: Option<Vec<u32>>,
}

/// What went wrong.
#[derive(Debug)]
pub struct Difference {
    /// The task's slot, and the record.
    pub at: (u32, u32),
    /// In words.
    pub what: String,
}

/// A possible state of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    /// The program whose policy holds, and the frames. None: it is not watched.
    watched: Option<(usize, Task)>,
    /// The program that it runs.
    image: usize,
    /// The calls whose reports are explained.
    explained: BTreeSet<u32>,
    /// There were too many possible states: the task may do anything until it execs.
    anything: bool,
}

/// How many calls were judged, and how many were violations.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Calls of watched tasks.
    pub calls: usize,
    /// Violations among them.
    pub violations: usize,
    /// Handlers.
    pub handlers: usize,
    /// Tasks.
    pub tasks: usize,
    /// Calls with more than one possible state before them.
    pub ambiguous: usize,
    /// Calls about which nothing is known any more.
    pub unknown: usize,
}

impl Counts {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Counts) {
        self.calls += other.calls;
        self.violations += other.violations;
        self.handlers += other.handlers;
        self.tasks += other.tasks;
        self.ambiguous += other.ambiguous;
        self.unknown += other.unknown;
    }
}

struct Walk<'a, 'b> {
    history: &'b History<'a>,
    programs: &'b mut [Program],
    births: BTreeMap<u32, Vec<World>>,
    /// Tasks whose creator was killed in the call that has made them: they die at their first call.
    doomed: BTreeSet<u32>,
    counts: Counts,
}

/// Compares a run with the model.
pub fn check(history: &History<'_>, programs: &mut [Program]) -> Result<Counts, Difference> {
    let mut walk = Walk {
        history,
        programs,
        births: BTreeMap::new(),
        doomed: BTreeSet::new(),
        counts: Counts::default(),
    };
    walk.births.insert(0, vec![World::default()]);
    for slot in 0..u32::try_from(SLOTS).unwrap() {
        let records = history.records[slot as usize];
        if records.is_empty() {
            continue;
        }
        let Some(worlds) = walk.births.remove(&slot) else {
            return Err(Difference { at: (slot, 0), what: "a task that nobody has made".into() });
        };
        walk.counts.tasks += 1;
        walk.task(slot, records, worlds)?;
    }
    let known = |slot: u32, index: u32| (index as usize) < history.records[slot as usize].len();
    if let Some((&at, why)) = history.reported.iter().find(|(at, _)| !known(at.0, at.1)) {
        return Err(Difference { at, what: format!("a report of no call: {why:?}") });
    }
    Ok(walk.counts)
}

/// A handler has never begun. Still others may count as over, for which it would have had no room:
/// the outermost one, or those on the alternate stack.
fn setup_failed(world: World) -> Vec<World> {
    let Some((program, task)) = &world.watched else { return vec![world] };
    let mut tasks = vec![task.clone(); task.alternates().len() + 1];
    if let Some((last, others)) = tasks.split_last_mut() {
        last.make_room();
        for (other, stack) in others.iter_mut().zip(task.alternates()) {
            other.overwritten(stack);
        }
    }
    let changed = |task| World { watched: Some((*program, task)), ..world.clone() };
    tasks.into_iter().map(changed).collect()
}

/// More possible states than these are not looked at.
const WORLDS: usize = 64;

/// Puts each world once.
fn settle(worlds: &mut Vec<World>) {
    worlds.sort();
    worlds.dedup();
    if worlds.len() > WORLDS {
        let image = worlds[0].image;
        *worlds = vec![World { anything: true, image, ..World::default() }];
    }
}

impl Walk<'_, '_> {
    fn task(
        &mut self,
        slot: u32,
        records: &[Record],
        mut worlds: Vec<World>,
    ) -> Result<(), Difference> {
        // By the frame of a handler, the call that it has interrupted before it was made.
        let mut waiting: BTreeMap<u64, u32> = BTreeMap::new();
        let mut unmade: Option<u32> = None;
        let mut dead = None;
        for (index, record) in (0_u32..).zip(records) {
            while let Some(call) = unmade.take() {
                if self.waits(slot, records, call) {
                    continue;
                }
                if record.kind == kind::HANDLER && record.pending == call {
                    let number = records[call as usize].number;
                    if record.flags & flag::AT_CALL != 0 && RESTARTS.contains(&number) {
                        let mut made = worlds.clone();
                        self.judge(slot, records, call, &mut made, true)?;
                        worlds.extend(made);
                        settle(&mut worlds);
                    }
                    waiting.insert(record.detail, call);
                } else {
                    unmade = self.made(slot, records, call, &mut worlds, &mut waiting)?;
                    if self.kills(slot, call, &worlds) {
                        dead = Some(call);
                    }
                }
            }
            if let Some(call) = dead {
                let what = format!("the task goes on after its violation in record {call}");
                return Err(Difference { at: (slot, index), what });
            }
            self.adopt(slot, records, index, &mut worlds);
            match record.kind {
                kind::START => {
                    let counts = self.history.adopted.as_ref();
                    let early = counts.is_some_and(|counts| index < counts[slot as usize]);
                    self.start(record, early, &mut worlds);
                }
                kind::CALL => unmade = Some(index),
                // Not written: the task has died before, or has left the handler that came between.
                0 => {}
                kind::HANDLER => self.handler(record, &mut worlds),
                _ => {
                    let what = format!("the program is broken: {record:x?}");
                    return Err(Difference { at: (slot, index), what });
                }
            }
        }
        while let Some(call) = unmade.take().filter(|call| !self.waits(slot, records, *call)) {
            if self.is_evident(slot, records, call, &waiting) {
                unmade = self.made(slot, records, call, &mut worlds, &mut waiting)?;
            }
        }
        Ok(())
    }

    /// Whether a task's last call was made: it returned, or it was reported, or it has made a task;
    /// or it has led back to such a call.
    fn is_evident(
        &self,
        slot: u32,
        records: &[Record],
        call: u32,
        waiting: &BTreeMap<u64, u32>,
    ) -> bool {
        let record = &records[call as usize];
        let detail = usize::try_from(record.detail).unwrap();
        let of = |flag: u32| record.flags & flag != 0;
        let next = waiting.get(&record.detail).filter(|_| of(flag::RETURN));
        record.done != 0
            || self.history.reported.contains_key(&(slot, call))
            || of(flag::BIRTH) && self.history.records.get(detail).is_some_and(|r| !r.is_empty())
            || next.is_some_and(|next| self.is_evident(slot, records, *next, waiting))
    }

    /// Whether the task was adopted while it waited in this call, or was about to.
    fn waits(&self, slot: u32, records: &[Record], call: u32) -> bool {
        let at = self.history.adopted.as_ref().map_or(0, |counts| counts[slot as usize]);
        call + 1 == at && records[call as usize].number == FUTEX
    }

    /// If this record is the first one of a running task that was adopted.
    fn adopt(&mut self, slot: u32, records: &[Record], index: u32, worlds: &mut Vec<World>) {
        let at = self.history.adopted.as_ref().map_or(0, |counts| counts[slot as usize]);
        if index == 0 || index != at {
            return;
        }
        for world in &mut *worlds {
            let table = self.programs[world.image].table.as_ref();
            world.watched = table.map(|table| (world.image, table.adopted()));
        }
        if self.waits(slot, records, index - 1) {
            // The call may have been judged, too.
            let mut judged = worlds.clone();
            let reported = self.history.reported.contains_key(&(slot, index - 1));
            if self.judge(slot, records, index - 1, &mut judged, true).is_ok() && reported {
                worlds.clear();
            }
            worlds.append(&mut judged);
        }
        settle(worlds);
    }

    /// A world for each stack that a pointer to this one may count as. Where an alternate stack is may
    /// be known no more once no active handler runs there (`SS_AUTODISARM`).
    fn places(&self, place: Place, world: World) -> Vec<(Place, World)> {
        let known =
            world.watched.as_ref().is_none_or(|(_, task)| task.alternates().contains(&place));
        if known || place == Place::Main || self.history.learn {
            vec![(place, world)]
        } else {
            vec![(place, world.clone()), (Place::Main, world)]
        }
    }

    /// Whether the call, which was judged, is the end of its task.
    fn kills(&self, slot: u32, call: u32, worlds: &[World]) -> bool {
        let kills = |world: &World| {
            world.watched.as_ref().is_some_and(|(by, _)| self.programs[*by].mode == Mode::Kill)
        };
        let violates = self.history.reported.contains_key(&(slot, call));
        worlds.iter().all(kills) && (violates || self.doomed.contains(&slot))
    }

    /// A call was made. The one that is made next, if the call has returned from a handler that had
    /// interrupted it.
    fn made(
        &mut self,
        slot: u32,
        records: &[Record],
        call: u32,
        worlds: &mut Vec<World>,
        waiting: &mut BTreeMap<u64, u32>,
    ) -> Result<Option<u32>, Difference> {
        self.judge(slot, records, call, worlds, false)?;
        let record = &records[call as usize];
        if record.flags & flag::BIRTH != 0 {
            let child = u32::try_from(record.detail).unwrap();
            let mut born = worlds.clone();
            for world in &mut born {
                world.explained.clear();
                if let Some((_, task)) = &mut world.watched {
                    task.born();
                }
            }
            if self.kills(slot, call, &born) {
                self.doomed.insert(child);
            }
            self.births.insert(child, born);
        }
        Ok(if record.flags & flag::RETURN != 0 { waiting.remove(&record.detail) } else { None })
    }

    /// Judges a call in every possible state, and drops those in which the kernel judged otherwise.
    /// `once_more`: the same call may be made again.
    fn judge(
        &mut self,
        slot: u32,
        records: &[Record],
        call: u32,
        worlds: &mut Vec<World>,
        once_more: bool,
    ) -> Result<(), Difference> {
        let record = &records[call as usize];
        // The number -1 is no call.
        if record.number == NONE && record.flags & flag::FOREIGN == 0 {
            return Ok(());
        }
        let reported = self.history.reported.get(&(slot, call)).map_or(&[][..], Vec::as_slice);
        self.counts.calls += usize::from(worlds.iter().any(|world| world.watched.is_some()));
        self.counts.violations += reported.len();
        self.counts.ambiguous += usize::from(worlds.len() > 1);
        self.counts.unknown += usize::from(worlds.iter().any(|world| world.anything));
        let foreign =
            record.flags & flag::FOREIGN != 0 || record.number & 0xc000_0000 == 0x4000_0000;
        let place = Place::of(record.pointer);
        let before = worlds.clone();
        let mut judged = Vec::new();
        // Each world, and on which stack the call is made there.
        let mut both: Vec<(Place, World)> =
            worlds.drain(..).flat_map(|world| self.places(place, world)).collect();
        both.retain_mut(|(place, world)| {
            let mut why = None;
            let at = (record.pointer, *place);
            if let Some((program, task)) = &mut world.watched {
                let program = &mut self.programs[*program];
                let table = program.table.as_mut().unwrap();
                why =
                    task.call(table, record.number, foreign, at, program.mode, self.history.learn);
            }
            judged.push(why);
            if self.history.learn || world.anything {
                return true;
            }
            let open = !world.explained.contains(&call);
            match (why, reported) {
                (None, []) => true,
                (None, _) => once_more || !open,
                (Some(why), [one]) if *one == why && open => {
                    world.explained.insert(call);
                    true
                }
                (Some(_), _) => false,
            }
        });
        worlds.extend(both.into_iter().map(|(_, world)| world));
        if worlds.is_empty() && !once_more {
            let what = match reported {
                [] => "the kernel has allowed what no lawful history allows",
                [_] => "the kernel has reported what is lawful, or with another reason",
                _ => "the kernel has reported a call twice",
            };
            let states: Vec<String> = before
                .iter()
                .map(|world| {
                    let table =
                        world.watched.as_ref().and_then(|(p, _)| self.programs[*p].table.as_ref());
                    let leads = table.map(|table| table.contexts_to(record.number));
                    let depth = table.map_or(0, |table| table.depth);
                    format!(
                        "    {:?}\n    depth {depth}, the call follows {leads:?}",
                        world.watched
                    )
                })
                .collect();
            return Err(Difference {
                at: (slot, call),
                what: format!(
                    "{what}\n  reported: {reported:?}, by the model: {judged:?}\n  before: \n{}",
                    states.join("\n")
                ),
            });
        }
        settle(worlds);
        Ok(())
    }

    /// A program starts; `early`: before its policy is there.
    fn start(&mut self, record: &Record, early: bool, worlds: &mut Vec<World>) {
        let program = record.number as usize;
        for world in worlds.iter_mut() {
            let bound = match &world.watched {
                _ if early => None,
                _ if self.programs[program].table.is_some() => Some(program),
                Some((old, _)) if self.programs[*old].inherit => Some(*old),
                _ => None,
            };
            world.image = program;
            world.anything &= bound.is_none();
            world.watched = bound.map(|program| {
                let table = self.programs[program].table.as_mut().unwrap();
                let mut task = table.exec();
                for symbol in BEFORE {
                    let mode = Mode::Log;
                    task.call(table, symbol, false, (0, Place::Main), mode, self.history.learn);
                }
                (program, task)
            });
        }
        settle(worlds);
    }

    fn handler(&mut self, record: &Record, worlds: &mut Vec<World>) {
        self.counts.handlers += 1;
        let has = |flag: u32| record.flags & flag != 0;
        let found = Place::of(record.pointer);
        let begins = if has(flag::SWITCHES) { Place::of(record.detail) } else { Place::Main };
        let by = Delivery { pointer: record.pointer, found, begins };
        if has(flag::SETUP_FAILED) {
            worlds.extend(worlds.clone().into_iter().flat_map(setup_failed));
        }
        if has(flag::PRIVILEGED) {
            worlds.extend(worlds.clone().into_iter().filter_map(|mut world| {
                let (_, task) = world.watched.as_mut()?;
                task.take_back(record.pointer).then_some(world)
            }));
        }
        let both: Vec<_> = worlds.drain(..).flat_map(|world| self.places(found, world)).collect();
        for (found, mut world) in both {
            if let Some((program, task)) = &mut world.watched {
                let table = self.programs[*program].table.as_ref().unwrap();
                task.signal(table, record.number, Delivery { found, ..by });
            }
            worlds.push(world);
        }
        settle(worlds);
    }
}
