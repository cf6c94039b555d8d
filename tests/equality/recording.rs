//! The kernel's learning step equals the Rust learner: random events (calls, foreign calls,
//! signals, returns, forks, execs, ends, adoptions, and execs of threads that are not the leader)
//! over random threads, learned by both; then the transitions, their calls and their runs are
//! compared.
//!
//! Needs root and a kernel that runs BPF; fails where it cannot run.

#![allow(unsafe_code)]

use crate::{CALLS, SIGNALS};
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::{MapCore as _, MapFlags, ProgramInput};
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use sysfsm::event::{Event, EventKind, Place};
use sysfsm::kernel::learned::{forget_ended, read, resize, RecordMaps, Recorded, Room};
use sysfsm::machine::{Depth, Learned, Learner};
use sysfsm::syscall::nr;
use sysfsm::syscall::Abi;
use sysfsm_testing::bpf::record_test::{self, types::sysfsm_test_kind as Kind};
use sysfsm_testing::random::{seed, Random};

const PROGRAMS: u32 = 5;
/// Threads that were running before belong to this one.
const ASSUMED: u32 = 3;
const THREADS: usize = 24;
/// The first threads nest handlers past the limit of frames; nobody forks over them.
const NESTERS: usize = 6;
const BATCH: usize = 1024;
const BATCHES: usize = 16;

/// A thread, as the test drives both sides: its place in the kernel's map, and its id in the
/// learner.
#[derive(Debug, Clone, Copy)]
struct Thread {
    tid: u32,
    alive: bool,
    /// It belongs to the run that is taken for the one of the threads that were running before.
    assumed: bool,
}

/// Both sides, and what drives them.
struct Twins {
    random: Random,
    learner: Learner,
    /// As `struct sysfsm_test_event` has them.
    batch: Vec<[u32; 4]>,
    threads: Vec<Thread>,
    next_tid: u32,
}

impl Twins {
    fn new(seed: u64, depth: Depth) -> Self {
        let thread = |at: u32| Thread { tid: 100 + at, alive: false, assumed: false };
        Twins {
            random: Random(seed),
            learner: Learner::new(depth).assuming(&name(ASSUMED)),
            batch: Vec::new(),
            threads: (0..u32::try_from(THREADS).unwrap()).map(thread).collect(),
            next_tid: 1000,
        }
    }

    fn rust(&mut self, at: usize, kind: EventKind) {
        self.learner.event(&Event { tid: self.threads[at].tid, place: Place::default(), kind });
    }

    fn kernel(&mut self, kind: Kind, at: usize, value: u32, other: u32) {
        self.batch.push([kind.0, u32::try_from(at).unwrap(), value, other]);
    }

    /// One thing happens, to any thread.
    fn step(&mut self) {
        let at = self.random.below(THREADS);
        if !self.threads[at].alive {
            if self.random.below(4) == 0 {
                self.adopt(at);
            } else {
                self.exec(at);
            }
            return;
        }
        if at < NESTERS {
            match self.random.below(100) {
                0..55 => return self.signal(at),
                55..90 => return self.call(at, nr::RT_SIGRETURN),
                _ => {}
            }
        }
        match self.random.below(200) {
            0..3 => self.exec(at),
            3..6 => self.end(at),
            6..10 => self.fork(at),
            10 => self.rename(at),
            11..20 => self.signal(at),
            20..30 => self.call(at, nr::RT_SIGRETURN),
            30 => self.foreign(at),
            31..60 => {
                let number = self.random.pick(&CALLS);
                self.call(at, number);
            }
            _ => {
                // A few, so that contexts come again.
                let number = self.random.pick(&CALLS[..5]);
                self.call(at, number);
            }
        }
    }

    fn call(&mut self, at: usize, number: u32) {
        self.rust(at, EventKind::Call(number));
        self.kernel(Kind::SYSFSM_TEST_CALL, at, number, 0);
    }

    fn signal(&mut self, at: usize) {
        let signal = self.random.pick(&SIGNALS);
        self.rust(at, EventKind::Signal(signal));
        self.kernel(Kind::SYSFSM_TEST_SIGNAL, at, signal.into(), 0);
    }

    fn foreign(&mut self, at: usize) {
        self.rust(at, EventKind::Foreign(Abi::I386, "read".into()));
        self.kernel(Kind::SYSFSM_TEST_FOREIGN, at, 0, 0);
    }

    fn exec(&mut self, at: usize) {
        let program = 1 + u32::try_from(self.random.below(PROGRAMS as usize)).unwrap();
        self.rust(at, EventKind::Exec(name(program).into()));
        self.kernel(Kind::SYSFSM_TEST_EXEC, at, program, 0);
        self.threads[at].alive = true;
        self.threads[at].assumed = false;
    }

    /// A thread that was running before is seen for the first time, in a call.
    fn adopt(&mut self, at: usize) {
        let other = self.threads.iter().position(|t| t.alive && t.assumed).unwrap_or(at);
        self.kernel(Kind::SYSFSM_TEST_ADOPT, at, ASSUMED, u32::try_from(other).unwrap());
        self.threads[at].alive = true;
        self.threads[at].assumed = true;
        let number = self.random.pick(&CALLS[..5]);
        self.call(at, number);
    }

    fn fork(&mut self, at: usize) {
        let child = NESTERS + self.random.below(THREADS - NESTERS);
        if child == at {
            return;
        }
        // The child that stands there ends, without a word in the log.
        let child_tid = self.threads[child].tid;
        let same_group = self.random_bool();
        self.rust(at, EventKind::Spawn { child: child_tid, same_group });
        self.kernel(Kind::SYSFSM_TEST_FORK, at, u32::try_from(child).unwrap(), 0);
        self.threads[child] = Thread { tid: child_tid, ..self.threads[at] };
    }

    fn random_bool(&mut self) -> bool {
        self.random.below(2) == 0
    }

    fn end(&mut self, at: usize) {
        self.rust(at, EventKind::End);
        self.kernel(Kind::SYSFSM_TEST_END, at, 0, 0);
        self.threads[at].alive = false;
        self.threads[at].assumed = false;
    }

    /// The thread goes on under another id, whose thread ends; or under one that nobody had.
    fn rename(&mut self, at: usize) {
        let leader = self.random.below(THREADS);
        let to = if leader == at || self.random_bool() {
            self.next_tid += 1;
            self.next_tid
        } else {
            let to = self.threads[leader].tid;
            self.kernel(Kind::SYSFSM_TEST_END, leader, 0, 0);
            self.next_tid += 1;
            self.threads[leader] = Thread { tid: self.next_tid, alive: false, assumed: false };
            to
        };
        self.rust(at, EventKind::Renamed(to));
        self.threads[at].tid = to;
    }
}

fn name(program: u32) -> String {
    format!("/program-{program}")
}

/// What both sides compare: binary → runs, and transition → calls and runs.
type Comparable = BTreeMap<String, (u64, BTreeMap<String, (u64, u64)>)>;

fn comparable<'a>(
    learned: impl Iterator<Item = (String, u64, &'a sysfsm::machine::Machine)>,
) -> Comparable {
    learned
        .map(|(binary, runs, machine)| {
            let rows = machine.rows().flat_map(|(context, row)| {
                row.iter().map(move |(s, c)| (format!("{context} → {s}"), (c.calls, c.runs)))
            });
            (binary, (runs, rows.collect()))
        })
        .collect()
}

macro_rules! maps {
    ($maps:expr, $($and:tt)+) => {
        RecordMaps {
            nodes: $($and)+ $maps.nodes,
            node_contexts: $($and)+ $maps.node_contexts,
            edges: $($and)+ $maps.edges,
            live_runs: $($and)+ $maps.live_runs,
            taken: $($and)+ $maps.taken,
            run_counts: $($and)+ $maps.run_counts,
        }
    };
}

/// Many events at one depth; what the two have learned, and how many transitions that are.
fn round(seed: u64, depth: Depth) -> usize {
    let room = Room { transitions: 65_536, programs: 16 };
    let mut object = MaybeUninit::uninit();
    let mut open = record_test::RecordTestSkelBuilder::default().open(&mut object).unwrap();
    let rodata = open.maps.rodata_data.as_mut().unwrap();
    rodata.depth = depth.get().into();
    rodata.edge_bits = room.edge_bits();
    let maps = &mut open.maps;
    resize(&mut maps!(maps, &mut), room).unwrap();
    let mut skel = open.load().expect("the test object loads (root, Linux 5.15 or newer)");

    let mut twins = Twins::new(seed, depth);
    let mut forgotten = 0;
    for _ in 0..BATCHES {
        // An adoption is two events.
        while twins.batch.len() < BATCH - 1 {
            twins.step();
        }
        drive(&mut skel, &std::mem::take(&mut twins.batch), seed);
        forgotten += forget_ended(&maps!(skel.maps, &)).unwrap();
    }
    let data = skel.maps.bss_data.as_ref().unwrap();
    let lost = (data.nodes_lost, data.edges_lost, data.runs_uncertain);
    assert_eq!(lost, (0, 0, 0), "seed {seed}, depth {depth}");
    assert!(forgotten > 0, "seed {seed}: runs end that others have followed");
    let (stray, claimed) = (data.stray_returns, data.edges_used);

    let maps = maps!(skel.maps, &);
    let recorded: BTreeMap<u32, Recorded> = read(&maps, depth).unwrap();
    assert_eq!(stray, twins.learner.stray_returns(), "seed {seed}, depth {depth}");
    let learned: Vec<Learned> = twins.learner.finish();
    let ours = comparable(recorded.iter().map(|(&p, r)| (name(p), r.runs, &r.machine)));
    let theirs = comparable(learned.iter().map(|l| (l.binary.to_string(), l.runs, &l.machine)));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (binary, (runs, rows)) in &theirs {
        let (our_runs, our_rows) = &ours[binary];
        let differing: Vec<String> = rows
            .iter()
            .filter(|(key, count)| our_rows.get(*key) != Some(count))
            .map(|(key, count)| format!("{key}: kernel {:?}, Rust {count:?}", our_rows.get(key)))
            .take(20)
            .collect();
        assert!(
            differing.is_empty(),
            "seed {seed}, depth {depth}, {binary}:\n{}",
            differing.join("\n")
        );
        assert_eq!(
            (our_rows.len(), our_runs),
            (rows.len(), runs),
            "seed {seed}, depth {depth}, {binary}"
        );
    }
    // Self-loops that `Machine::insert` drops do not come up: a repetition is no step.
    let transitions: usize = recorded.values().map(|r| r.machine.transitions()).sum();
    assert_eq!(u64::try_from(transitions).unwrap(), claimed);
    transitions
}

fn drive(skel: &mut record_test::RecordTestSkel<'_>, batch: &[[u32; 4]], seed: u64) {
    let count = u32::try_from(batch.len()).unwrap();
    let keys: Vec<u8> = (0..count).flat_map(u32::to_ne_bytes).collect();
    let values: Vec<u8> = batch.iter().flatten().flat_map(|w| w.to_ne_bytes()).collect();
    skel.maps
        .test_events
        .update_batch(&keys, &values, count, MapFlags::ANY, MapFlags::ANY)
        .unwrap();
    skel.maps.bss_data.as_mut().unwrap().wanted = count;
    let output = skel.progs.drive.test_run(ProgramInput::default()).unwrap();
    assert_eq!(output.return_value, 0, "seed {seed}");
    assert_eq!(skel.maps.bss_data.as_ref().unwrap().events_taken, count);
}

#[test]
fn the_kernel_learns_what_the_rust_learner_learns() {
    let base = seed();
    let mut transitions = 0;
    let rounds = Depth::all().count() * 2;
    for (seed, depth) in (base..).zip(Depth::all().chain(Depth::all())) {
        transitions += round(seed, depth);
    }
    let events = rounds * BATCHES * (BATCH - 1);
    eprintln!("{events} events from seed {base}, {transitions} transitions: no difference");
    assert!(events >= 100_000 && transitions > 10_000);
}
