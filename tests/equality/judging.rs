//! The kernel's step equals the Rust step: random machines, random events (calls, foreign calls,
//! signals, returns, forks, execs, adoptions), violations included, judged by both, while one
//! machine after another is replaced under its threads.
//!
//! Needs root and a kernel that runs BPF; fails where it cannot run.

#![allow(unsafe_code)]

use crate::{CALLS, SIGNALS};
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle, ProgramInput};
use std::mem::MaybeUninit;
use sysfsm::kernel::step_maps::{self, StepMaps, Tables};
use sysfsm::kernel::{EffectivePolicy, LoadedPolicy, Sizes};
use sysfsm::machine::{
    Context, Count, Delivery, Depth, Frames, Judge, Machine, Reaction, Reason, Stack, State,
    Verdict,
};
use sysfsm::policy::{Action, Children};
use sysfsm::syscall::{nr, Symbol};
use sysfsm::table::{migrations, CompiledMachine, Table};
use sysfsm_testing::bpf::step_test::{self, types::sysfsm_test_kind as Kind};
use sysfsm_testing::random::{seed, Random};

/// Machines at once, threads, and how many events one load of the object judges.
const MACHINES: usize = 16;
const THREADS: u32 = 24;
/// The first threads nest handlers past the limit of frames; nobody forks over them.
const NESTERS: u32 = 6;
const BATCH: usize = 1024;
const BATCHES: usize = 24;
const ROUNDS: u64 = 8;

/// A machine that random walks have left behind, so that its contexts hang together as learned ones
/// do.
fn machine(random: &mut Random) -> Machine {
    let depth = Depth::try_from(1 + random.number() % 8).unwrap();
    let mut machine = Machine::new(depth);
    for _ in 0..=random.below(12) {
        let first = match random.below(4) {
            0 => Symbol::Signal(random.pick(&SIGNALS)),
            1 => Symbol::Call(random.pick(&CALLS)),
            _ => Symbol::Call(nr::EXECVE),
        };
        let mut context = Context::start(first, depth);
        for _ in 0..random.below(30) {
            // A few calls only, so that walks meet.
            let few = 3 + random.below(13);
            let symbol = Symbol::Call(random.pick(&CALLS[..few]));
            machine.insert(context, symbol, Count { calls: 1, runs: 1 });
            context = context.then(symbol, depth);
        }
    }
    machine
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Exec(usize),
    Adopt(usize),
    Fork(u32),
    Signal(u8, Delivery),
    Call(u32, Stack),
    Foreign(Stack),
}

/// A thread of the Rust side: its machine, and its frames.
type Thread = Option<(usize, Frames<State>)>;

/// The alternate stacks, by their ends. None of them is where a stack pointer is.
const ALTERNATES: [u64; 2] = [1, 2];

/// Where a thread's stack pointer is: at one of a few places, so that handlers are left and stacks
/// change. Threads that nest handlers go ever deeper.
fn stack(random: &mut Random, at: u32, deeper: &mut u64) -> Stack {
    if at < NESTERS {
        *deeper -= 1;
        return Stack { pointer: *deeper, alternate: None };
    }
    let pointer =
        [1 << 20, 1 << 33, (1 << 33) + 8, u64::MAX][random.below(4)] - random.below(3) as u64;
    Stack { pointer, alternate: (random.below(4) == 0).then(|| random.pick(&ALTERNATES)) }
}

/// How a handler begins there.
fn delivery(random: &mut Random, at: u32, stack: Stack) -> Delivery {
    let switches = at >= NESTERS && random.below(4) == 0;
    let begins_at = switches.then(|| random.pick(&ALTERNATES));
    let setup_failed = at >= NESTERS && random.below(6) == 0;
    Delivery { interrupted: Some(stack), begins_at, setup_failed }
}

/// An event for a thread. Mostly calls, and of those mostly ones that the machine has, so that
/// walks go deep.
fn event(random: &mut Random, world: &World, at: u32, thread: &Thread, deeper: &mut u64) -> Event {
    let Some((machine, frames)) = thread else {
        return Event::Exec(random.pick(&world.current));
    };
    let stack = stack(random, at, deeper);
    let delivery = delivery(random, at, stack);
    if at < NESTERS {
        match random.below(100) {
            0..55 => return Event::Signal(random.pick(&SIGNALS), delivery),
            55..90 => return Event::Call(nr::RT_SIGRETURN, stack),
            _ => {}
        }
    }
    match random.below(100) {
        0 => Event::Exec(random.pick(&world.current)),
        1 => Event::Adopt(random.pick(&world.current)),
        2 | 3 => {
            let others = usize::try_from(THREADS - NESTERS).unwrap();
            Event::Fork(NESTERS + u32::try_from(random.below(others)).unwrap())
        }
        4..12 => Event::Signal(random.pick(&SIGNALS), delivery),
        12..18 => Event::Call(nr::RT_SIGRETURN, stack),
        18 => Event::Foreign(stack),
        19..30 => Event::Call(random.pick(&CALLS), stack),
        _ => {
            let known =
                frames.context().and_then(|c| world.machines[*machine].row(&c)).map(|row| {
                    let symbols: Vec<Symbol> = row.keys().copied().collect();
                    random.pick(&symbols)
                });
            match known {
                Some(Symbol::Call(number)) => Event::Call(number, stack),
                _ => Event::Call(random.pick(&CALLS), stack),
            }
        }
    }
}

/// A verdict as the kernel writes it, and the context of the state that it was made in.
type Outcome = (u32, Context);

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Allowed => (0, Context::EMPTY),
        Verdict::Violation(Reason::Transition, context) => (1, context),
        Verdict::Violation(Reason::Abi, context) => (2, context),
        Verdict::Violation(Reason::Sigreturn, context) => (3, context),
    }
}

fn apply(world: &World, threads: &mut [Thread], at: u32, event: Event) -> Option<Outcome> {
    let (judges, reactions) = (&world.judges, &world.reactions);
    let index = at as usize;
    match event {
        Event::Exec(m) => threads[index] = Some((m, judges[m].exec())),
        Event::Adopt(m) => threads[index] = Some((m, judges[m].adopt())),
        Event::Fork(child) => {
            let copy = threads[index].as_ref().map(|(m, frames)| (*m, frames.child()));
            threads[child as usize] = copy;
        }
        Event::Signal(signal, delivery) => {
            let (m, frames) = threads[index].as_mut().unwrap();
            judges[*m].signal(frames, signal, delivery);
        }
        Event::Call(number, stack) => {
            let (m, frames) = threads[index].as_mut().unwrap();
            frames.unwind(stack);
            return Some(outcome(judges[*m].call(frames, number, reactions[*m])));
        }
        Event::Foreign(stack) => {
            let (m, frames) = threads[index].as_mut().unwrap();
            frames.unwind(stack);
            return Some(outcome(judges[*m].foreign(frames, reactions[*m])));
        }
    }
    None
}

fn effective(reaction: Reaction) -> EffectivePolicy {
    let action = if reaction == Reaction::Stay { Action::Kill } else { Action::Log };
    EffectivePolicy {
        action,
        children: Children::Release,
        complain: reaction == Reaction::Complain,
    }
}

/// As `struct sysfsm_test_event` has it.
fn wire(at: u32, event: Event) -> [u32; 18] {
    let (kind, value) = match event {
        Event::Exec(m) => (Kind::SYSFSM_TEST_EXEC, u32::try_from(m + 1).unwrap()),
        Event::Adopt(m) => (Kind::SYSFSM_TEST_ADOPT, u32::try_from(m + 1).unwrap()),
        Event::Fork(child) => (Kind::SYSFSM_TEST_FORK, child),
        Event::Signal(signal, _) => (Kind::SYSFSM_TEST_SIGNAL, u32::from(signal)),
        Event::Call(number, _) => (Kind::SYSFSM_TEST_CALL, number),
        Event::Foreign(_) => (Kind::SYSFSM_TEST_FOREIGN, 0),
    };
    let (stack, flags) = match event {
        Event::Signal(_, by) => {
            let begins_at = u32::try_from(by.begins_at.unwrap_or(0)).unwrap();
            (by.interrupted, u32::from(by.setup_failed) | begins_at << 1)
        }
        Event::Call(_, stack) | Event::Foreign(stack) => (Some(stack), 0),
        _ => (None, 0),
    };
    let mut words = [0; 18];
    words[..5].copy_from_slice(&[kind.0, at, value, 99, 99]);
    if let Some(stack) = stack {
        words[5] = u32::try_from(stack.alternate.unwrap_or(0)).unwrap();
        words[6] = u32::try_from(stack.pointer & 0xffff_ffff).unwrap();
        words[7] = u32::try_from(stack.pointer >> 32).unwrap();
    }
    words[17] = flags;
    words
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

/// The machines, and where each lies. Those that were replaced stay in the list.
struct World {
    machines: Vec<Machine>,
    reactions: Vec<Reaction>,
    judges: Vec<Judge>,
    compiled: Vec<CompiledMachine>,
    table: Table,
    /// Those that are not replaced.
    current: Vec<usize>,
}

impl World {
    fn new(random: &mut Random) -> Self {
        let machines: Vec<Machine> = (0..MACHINES).map(|_| machine(random)).collect();
        let kinds = [Reaction::Stay, Reaction::Follow, Reaction::Complain];
        let reactions: Vec<Reaction> =
            (0..MACHINES).map(|_| random.pick(&[&kinds[..], &kinds[1..]].concat())).collect();
        let mut table = Table::default();
        let compiled = table.insert(&machines.iter().collect::<Vec<_>>());
        World {
            judges: machines.iter().map(Judge::new).collect(),
            machines,
            reactions,
            compiled,
            table,
            current: (0..MACHINES).collect(),
        }
    }

    fn loaded(&self, machine: usize) -> LoadedPolicy<'_> {
        LoadedPolicy {
            number: u32::try_from(machine + 1).unwrap(),
            compiled: &self.compiled[machine],
            effective: effective(self.reactions[machine]),
        }
    }

    fn context(&self, state: u32) -> Context {
        let mut rows = self.compiled.iter().rev().flat_map(|compiled| &compiled.rows);
        rows.find(|row| row.state == state).unwrap().context()
    }

    /// Replaces a machine, as a reload does: the kernel's threads find out by themselves.
    fn replace(
        &mut self,
        random: &mut Random,
        maps: &StepMaps<MapHandle>,
        tables: &Tables,
        room: &Sizes,
        threads: &mut [Thread],
    ) {
        // What is learned is not replaced.
        let Some(place) = (0..20)
            .map(|_| random.below(self.current.len()))
            .find(|place| self.reactions[self.current[*place]] != Reaction::Complain)
        else {
            return;
        };
        let (old, new) = (self.current[place], self.machines.len());
        let mut machine = machine(random);
        // Mostly more of the same.
        if random.below(4) > 0 {
            let mut grown = self.machines[old].clone();
            if grown.merge(&machine).is_ok() {
                machine = grown;
            }
        }
        let mut table = self.table.clone();
        self.compiled.push(table.insert(&[&machine]).pop().unwrap());
        self.reactions.push(random.pick(&[Reaction::Stay, Reaction::Follow]));
        self.judges.push(Judge::new(&machine));
        self.machines.push(machine);
        let there = self.current.iter().copied().chain([new]).map(|machine| self.loaded(machine));
        if !Sizes::of(table.cells(), there).fits(room) {
            // As a reload does: it would load all anew.
            self.compiled.pop();
            self.reactions.pop();
            self.judges.pop();
            self.machines.pop();
            return;
        }
        self.table = table;
        self.current[place] = new;
        let (from, to) = (self.loaded(old).number, self.loaded(new).number);
        step_maps::add(maps, tables, &[self.loaded(new)]).unwrap();
        let migrations = migrations(&self.compiled[old], &self.compiled[new], &self.machines[new]);
        step_maps::add_migrations(maps, to, &migrations).unwrap();
        tables.activate(to);
        tables.replace(from, Some(to));
        tables.clear_rows(&self.compiled[old]);
        step_maps::forget(maps, &self.loaded(old)).unwrap();
        self.table.clear_rows(&self.compiled[old]);
        for (machine, frames) in threads.iter_mut().flatten().filter(|(machine, _)| *machine == old)
        {
            self.judges[new].migrate(frames, self.machines[old].depth());
            *machine = new;
        }
    }
}

/// One set of machines, loaded once, and many events; how many were judged violations.
fn round(seed: u64) -> usize {
    let mut random = Random(seed);
    let mut world = World::new(&mut random);
    let mut object = MaybeUninit::uninit();
    let mut open = step_test::StepTestSkelBuilder::default().open(&mut object).unwrap();
    let maps = &mut open.maps;
    let room = Sizes::of(world.table.cells(), (0..MACHINES).map(|machine| world.loaded(machine)))
        .with_room();
    step_maps::resize(
        &mut StepMaps {
            cells: &mut maps.cells,
            far_cells: &mut maps.far_cells,
            policies: &mut maps.policies,
            contexts: &mut maps.contexts,
            histories: &mut maps.histories,
            migrations: &mut maps.migrations,
        },
        &room,
    )
    .unwrap();
    let mut skel = open.load().expect("the test object loads (root, Linux 5.15 or newer)");
    let handle = |map| MapHandle::try_from(map).unwrap();
    let maps = StepMaps {
        cells: handle(&skel.maps.cells),
        far_cells: handle(&skel.maps.far_cells),
        policies: handle(&skel.maps.policies),
        contexts: handle(&skel.maps.contexts),
        histories: handle(&skel.maps.histories),
        migrations: handle(&skel.maps.migrations),
    };
    let tables = Tables::of(&maps).unwrap();
    let loaded: Vec<_> = (0..MACHINES).map(|machine| world.loaded(machine)).collect();
    step_maps::add(&maps, &tables, &loaded).unwrap();
    for one in &loaded {
        tables.activate(one.number);
    }

    let mut threads: Vec<Thread> = vec![None; THREADS as usize];
    let mut violations = 0;
    let mut deeper = u64::MAX / 2;
    let mut trail: Vec<(u32, Event)> = Vec::new();
    for _ in 0..BATCHES {
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            let at = u32::try_from(random.below(THREADS as usize)).unwrap();
            let event = event(&mut random, &world, at, &threads[at as usize], &mut deeper);
            let expected = apply(&world, &mut threads, at, event);
            batch.push((at, event, expected));
        }
        compare(&mut skel, &world, &batch, &mut trail, seed);
        violations += batch.iter().filter(|e| e.2.is_some_and(|o| o.0 != 0)).count();
        for _ in 0..random.below(4) {
            world.replace(&mut random, &maps, &tables, &room, &mut threads);
        }
    }
    violations
}

fn compare(
    skel: &mut step_test::StepTestSkel<'_>,
    world: &World,
    batch: &[(u32, Event, Option<Outcome>)],
    trail: &mut Vec<(u32, Event)>,
    seed: u64,
) {
    let keys: Vec<u8> = bytes(&(0..u32::try_from(batch.len()).unwrap()).collect::<Vec<_>>());
    let values: Vec<u8> =
        batch.iter().flat_map(|&(at, event, _)| bytes(&wire(at, event))).collect();
    let count = u32::try_from(batch.len()).unwrap();
    skel.maps
        .test_events
        .update_batch(&keys, &values, count, MapFlags::ANY, MapFlags::ANY)
        .unwrap();
    skel.maps.bss_data.as_mut().unwrap().wanted = count;
    let output = skel.progs.drive.test_run(ProgramInput::default()).unwrap();
    assert_eq!(output.return_value, 0, "seed {seed}");
    assert_eq!(skel.maps.bss_data.as_ref().unwrap().taken, count);
    for (index, &(at, event, expected)) in (0_u32..).zip(batch) {
        trail.push((at, event));
        let Some((verdict, context)) = expected else { continue };
        let found =
            skel.maps.test_events.lookup(&index.to_ne_bytes(), MapFlags::ANY).unwrap().unwrap();
        let field = |i: usize| u32::from_ne_bytes(found[4 * i..4 * i + 4].try_into().unwrap());
        let (got, state) = (field(3), field(4));
        let got_context = match field(8) as usize {
            _ if got == 0 => Context::EMPTY,
            0 => world.context(state),
            len => Context::of(
                (9..9 + len).map(|i| Symbol::from_code(field(i))),
                Depth::all().last().unwrap(),
            ),
        };
        if (got, got_context) != (verdict, context) {
            let own: Vec<String> =
                trail.iter().filter(|(t, _)| *t == at).map(|(_, e)| format!("{e:?}")).collect();
            let begin = own.len().saturating_sub(30);
            panic!(
                "seed {seed}: thread {at}, {event:?}: the kernel says {got} in {got_context:?}, Rust {verdict} in {context:?}\n{}",
                own[begin..].join("\n")
            );
        }
    }
}

#[test]
fn the_bpf_step_equals_the_rust_step() {
    let base = seed();
    let mut violations = 0;
    for round_number in 0..ROUNDS {
        violations += round(base + round_number);
    }
    let events = usize::try_from(ROUNDS).unwrap() * BATCHES * BATCH;
    eprintln!("{events} events from seed {base}, {violations} violations: no difference");
    assert!(events >= 100_000 && violations > events / 50 && violations < events);
}
