//! A round: programs that nobody watches teach their policies, some transitions of these are left
//! out, and then the programs run under them.

use crate::families::{self, Clock, Moment};
use crate::history::{check, Counts, Difference, History, Program};
use crate::model::{Mode, Table, Why};
use crate::policies::{leave_out, policy};
use crate::run::{prepare, Mapped, Plan, Prepared};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Mutex;
use std::thread::{scope, sleep, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime};
use sysfsm::kernel::{Enforcer, Level, Options, Violation};
use sysfsm::machine::Reason;
use sysfsm::policy::{Action, Policy};
use sysfsm_fixtures::behaviour::{BEFORE, PROGRAMS};
use sysfsm_testing::lab::Lab;
use sysfsm_testing::random::Random;

/// Groups of programs that exec each other.
const GROUPS: usize = 6;
/// Runs that teach a group, and runs of other seeds under its policies.
const TEACHERS: usize = 8;
const STRANGERS: usize = 12;
/// Runs that are there before their policies: of the first groups, one each.
const ADOPTED: usize = 2;
/// Runs at once.
const AT_ONCE: usize = 3;
/// How long all tasks of a run have to be still until they are taken to wait.
const STILL: Duration = Duration::from_millis(40);

/// What several rounds have come to.
#[derive(Debug, Default)]
pub struct Totals {
    rounds: usize,
    runs: usize,
    kills: usize,
    adopted: usize,
    counts: Counts,
}

impl Totals {
    /// Adds those of another round.
    pub fn add(&mut self, other: &Totals) {
        self.rounds += other.rounds;
        self.runs += other.runs;
        self.kills += other.kills;
        self.adopted += other.adopted;
        self.counts.add(&other.counts);
    }

    /// Whether all kinds of things have happened, each often enough for the number of rounds.
    pub fn enough(&self) -> bool {
        let Counts { calls, violations, handlers, tasks, unknown, .. } = self.counts;
        calls > 2000 * self.rounds
            && violations > 100 * self.rounds
            && handlers > 200 * self.rounds
            && tasks > self.runs * 9 / 8
            && unknown < calls / 20
            && self.kills > 5 * self.rounds
            && self.adopted > 0
    }
}

struct Group {
    paths: Vec<PathBuf>,
    programs: Vec<Program>,
    teachers: Vec<Plan>,
}

/// A run: of which group, by which plan; what it has written, and, of tasks that were adopted, how
/// many records each had written by then.
struct Run {
    group: usize,
    plan: Plan,
    number: u32,
    mapped: Mapped,
    adopted: Option<Vec<u32>>,
}

/// What the kernel has reported of a run: by task and record, why; and the tasks that were killed.
#[derive(Default)]
struct Reports {
    reported: BTreeMap<(u32, u32), Vec<Why>>,
    kills: Vec<(u32, SystemTime)>,
}

fn group(lab: &Lab, random: &mut Random, number: usize) -> Group {
    let count = 1 + random.below(PROGRAMS);
    let path = |program| {
        let name = format!("behave-{number}-{program}");
        let path = lab.path(&name);
        if path.exists() {
            path
        } else {
            lab.fixture_as("behave", &name)
        }
    };
    let paths = (0..count).map(path).collect();
    let programs = (0..count).map(|program| {
        let bound = program == 0 || random.below(4) > 0;
        let depth = random.pick(&[1, 2, 2, 3, 4]);
        Program {
            table: bound.then(|| Table { depth, ..Table::default() }),
            mode: if random.below(3) == 0 { Mode::Kill } else { Mode::Log },
            inherit: random.below(4) == 0,
        }
    });
    let programs = programs.collect();
    let teachers = (0..TEACHERS).map(|_| Plan::new(random.number())).collect();
    Group { paths, programs, teachers }
}

/// Makes these runs, a few at once; `poll` meanwhile. Their numbers begin with `first`.
fn runs(
    lab: &Lab,
    groups: &[Group],
    wanted: &[(usize, Plan)],
    first: u32,
    mut poll: impl FnMut(),
) -> Vec<Run> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| loop {
                    let index = next.fetch_add(1, Relaxed);
                    let Some(&(group, plan)) = wanted.get(index) else { break };
                    let number = first + u32::try_from(index).unwrap();
                    let prepared = prepare(lab, &groups[group].paths, plan, number, None);
                    prepared.run(lab).unwrap_or_else(|e| panic!("{plan:?}: {e}"));
                    let mapped = prepared.mapped();
                    done.lock().unwrap().push(Run { group, plan, number, mapped, adopted: None });
                })
            })
            .collect();
        while !workers.iter().all(ScopedJoinHandle::is_finished) {
            poll();
        }
    });
    done.into_inner().unwrap()
}

/// Waits until all tasks of a run wait, or have ended.
fn still(run: &Prepared) {
    let mut counts = Vec::new();
    let mut since = Instant::now();
    while counts.first().is_none_or(|first| *first == 0) || since.elapsed() < STILL {
        let now = run.counts();
        if now != counts {
            (counts, since) = (now, Instant::now());
        }
        sleep(Duration::from_millis(2));
    }
}

fn why(reason: Reason) -> Why {
    match reason {
        Reason::Transition => Why::Transition,
        Reason::Abi => Why::Abi,
        Reason::Sigreturn => Why::Sigreturn,
    }
}

/// Sorts the violations by the tags of their calls: a run's number, a slot, and a record.
fn sort(violations: &[Violation]) -> BTreeMap<u32, Reports> {
    let mut runs: BTreeMap<u32, Reports> = BTreeMap::new();
    for violation in violations {
        let tag = violation.args[5];
        let number = u32::try_from(tag >> 32).unwrap();
        let at = ((tag >> 16 & 0xffff) as u32, (tag & 0xffff) as u32);
        assert!(number > 0 && at.1 != BEFORE, "a report of a call without a tag: {violation:?}");
        let run = runs.entry(number).or_default();
        run.reported.entry(at).or_default().push(why(violation.kind.reason));
        if violation.kind.action == Action::Kill && !violation.kill_failed {
            run.kills.push((at.0, violation.time));
        }
    }
    runs
}

/// What was watched, and what the kernel has said.
struct Watched {
    runs: Vec<Run>,
    violations: Vec<Violation>,
    kills: u64,
    clock: Clock,
}

/// Runs the programs under their policies. The first groups' programs are running before.
fn watch(lab: &Lab, groups: &[Group], policies: &[Policy], wanted: &[(usize, Plan)]) -> Watched {
    let options = Options {
        at_most: Level::Kill,
        ring_bytes: 32 << 20,
        full_events: u32::MAX,
        ..Options::default()
    };
    let first = Moment::now();
    let mut violations = Vec::new();
    let number = |group: usize| u32::try_from(group + 1).unwrap();
    let early: Vec<Prepared> = groups[..ADOPTED]
        .iter()
        .enumerate()
        .map(|(group, g)| {
            let hold = 14 + u32::try_from(g.teachers[0].seed % 40).unwrap();
            prepare(lab, &g.paths, g.teachers[0], number(group), Some(hold))
        })
        .collect();
    let (mut enforcer, counts) = scope(|scope| {
        let running: Vec<_> = early.iter().map(|run| scope.spawn(|| run.run(lab))).collect();
        early.iter().for_each(still);
        let enforcer = Enforcer::start(policies, options).expect("the policies are enforced");
        let counts: Vec<Vec<u32>> = early.iter().map(Prepared::counts).collect();
        early.iter().for_each(Prepared::go);
        while !running.iter().all(ScopedJoinHandle::is_finished) {
            enforcer.poll(Duration::from_millis(2), |v| violations.push(v)).unwrap();
        }
        for run in running {
            run.join().unwrap().unwrap_or_else(|e| panic!("an adopted run: {e}"));
        }
        (enforcer, counts)
    });
    let next = number(ADOPTED);
    let mut runs = runs(lab, groups, wanted, next, || {
        enforcer.poll(Duration::from_millis(2), |v| violations.push(v)).unwrap();
    });
    runs.extend(early.into_iter().zip(counts).enumerate().map(|(group, (run, counts))| Run {
        group,
        plan: groups[group].teachers[0],
        number: number(group),
        mapped: run.mapped(),
        adopted: Some(counts),
    }));
    while enforcer.poll(Duration::ZERO, |v| violations.push(v)).unwrap() > 0 {}
    let totals = enforcer.totals().unwrap();
    let clock = Clock::new(first, Moment::now());
    enforcer.detach();
    assert_eq!((totals.events_lost, totals.threads_refused), (0, 0), "{totals:?}");
    assert_eq!(totals.violations, violations.len() as u64, "{totals:?}");
    Watched { runs, violations, kills: totals.kills, clock }
}

/// What a run has done up to a difference.
fn trail(history: &History<'_>, difference: &Difference) -> String {
    let (slot, index) = difference.at;
    let records = history.records[slot as usize];
    let from = (index as usize).saturating_sub(40);
    let to = (index as usize + 2).min(records.len());
    let mut text = format!("slot {slot}, record {index}: {}\n", difference.what);
    for (at, r) in records.iter().enumerate().take(to).skip(from) {
        let reported = history.reported.get(&(slot, u32::try_from(at).unwrap()));
        writeln!(
            text,
            "  {at:4} kind {} nr {:3} flags {:3x} pending {:x} sp {:x} detail {:x} done {} {}",
            r.kind,
            r.number,
            r.flags,
            r.pending,
            r.pointer,
            r.detail,
            r.done,
            reported.map_or(String::new(), |why| format!("reported {why:?}")),
        )
        .unwrap();
    }
    text
}

/// Plays a round.
pub fn round(lab: &Lab, seed: u64) -> Totals {
    let mut random = Random(seed);
    let mut groups: Vec<Group> =
        (0..GROUPS).map(|number| group(lab, &mut random, number)).collect();
    let mut wanted: Vec<(usize, Plan)> = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        wanted.extend(group.teachers.iter().map(|plan| (number, *plan)));
    }
    let different = |run: &Run, history: &History<'_>, difference: &Difference| -> ! {
        panic!(
            "group {}, {:?}{}: {}\nagain: make fuzz SEED={seed}",
            run.group,
            run.plan,
            if run.adopted.is_some() { ", adopted" } else { "" },
            trail(history, difference)
        )
    };
    for run in runs(lab, &groups, &wanted, 1, || sleep(Duration::from_millis(1))) {
        let records = run.mapped.records();
        let history = History { records, reported: BTreeMap::new(), learn: true, adopted: None };
        if let Err(difference) = check(&history, &mut groups[run.group].programs) {
            different(&run, &history, &difference);
        }
    }
    let mut policies = Vec::new();
    for group in &mut groups {
        for (program, path) in group.programs.iter_mut().zip(&group.paths) {
            let Some(table) = &mut program.table else { continue };
            let per_mille = random.pick(&[0, 0, 20, 50, 150, 400]);
            leave_out(&mut random, table, per_mille);
            policies.push(policy(table, path, program.mode, program.inherit));
        }
    }
    for group in 0..GROUPS {
        wanted.extend((0..STRANGERS).map(|_| (group, Plan::new(random.number()))));
    }
    let watched = watch(lab, &groups, &policies, &wanted);
    let mut all = Totals { rounds: 1, runs: watched.runs.len(), ..Totals::default() };
    all.kills = usize::try_from(watched.kills).unwrap();
    let mut reports = sort(&watched.violations);
    for run in watched.runs {
        let Reports { reported, kills } = reports.remove(&run.number).unwrap_or_default();
        let records = run.mapped.records();
        all.adopted += run.adopted.as_ref().map_or(0, |counts| {
            counts.iter().zip(&records).filter(|(n, r)| **n > 0 && (**n as usize) < r.len()).count()
        });
        let history = History { records, reported, learn: false, adopted: run.adopted.clone() };
        let checked = check(&history, &mut groups[run.group].programs).and_then(|counts| {
            families::check(&history.records, &kills, &watched.clock)?;
            Ok(counts)
        });
        match checked {
            Ok(counts) => all.counts.add(&counts),
            Err(difference) => different(&run, &history, &difference),
        }
    }
    assert!(reports.is_empty(), "reports of no run");
    all
}
