//! A round: programs that nobody watches teach their policies, some transitions of these are left
//! out, and then the programs run under them.

use crate::history::{check, Counts, Program};
use crate::model::{Mode, Table, Why};
use crate::policies::{leave_out, policy};
use crate::run::{history, run, Mapped, Plan, Reported};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Mutex;
use std::time::Duration;
use sysfsm::kernel::{Enforcer, Level, Options, Violation};
use sysfsm::machine::Reason;
use sysfsm_fixtures::behaviour::{BEFORE, PROGRAMS};
use sysfsm_testing::lab::Lab;
use sysfsm_testing::random::Random;

/// Groups of programs that exec each other.
const GROUPS: usize = 6;
/// Runs that teach a group, and runs of other seeds under its policies.
const TEACHERS: usize = 8;
const STRANGERS: usize = 12;
/// Runs at once.
const AT_ONCE: usize = 3;

/// What several rounds have come to.
#[derive(Debug, Default)]
pub struct Totals {
    rounds: usize,
    runs: usize,
    killed: usize,
    counts: Counts,
}

impl Totals {
    /// Adds those of another round.
    pub fn add(&mut self, other: &Totals) {
        self.rounds += other.rounds;
        self.runs += other.runs;
        self.killed += other.killed;
        self.counts.add(&other.counts);
    }

    /// Whether all kinds of things have happened.
    pub fn enough(&self) -> bool {
        let Counts { calls, violations, handlers, tasks, .. } = self.counts;
        calls > 500 * self.rounds
            && violations > 20 * self.rounds
            && handlers > 100 * self.rounds
            && tasks > self.runs
            && self.killed > self.rounds
    }
}

struct Group {
    paths: Vec<PathBuf>,
    programs: Vec<Program>,
    plans: Vec<Plan>,
}

/// One run: of which group, by which plan; and what it was.
struct Ran {
    group: usize,
    plan: Plan,
    number: u32,
    mapped: Mapped,
}

fn group(lab: &Lab, random: &mut Random, number: usize) -> Group {
    let count = 1 + random.below(PROGRAMS);
    let paths = (0..count).map(|program| {
        let name = format!("behave-{number}-{program}");
        let path = lab.path(&name);
        if path.exists() {
            path
        } else {
            lab.fixture_as("behave", &name)
        }
    });
    let paths = paths.collect();
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
    let plans = (0..TEACHERS).map(|_| Plan::new(random.number())).collect();
    Group { paths, programs, plans }
}

/// Makes these runs, a few at once; `poll` meanwhile.
fn runs(lab: &Lab, groups: &[Group], wanted: &[(usize, Plan)], mut poll: impl FnMut()) -> Vec<Ran> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| loop {
                    let index = next.fetch_add(1, Relaxed);
                    let Some(&(group, plan)) = wanted.get(index) else { break };
                    let number = u32::try_from(index + 1).unwrap();
                    let mapped = run(lab, &groups[group].paths, plan, number)
                        .unwrap_or_else(|e| panic!("{plan:?}: {e}"));
                    done.lock().unwrap().push(Ran { group, plan, number, mapped });
                })
            })
            .collect();
        while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            poll();
        }
    });
    done.into_inner().unwrap()
}

fn why(reason: Reason) -> Why {
    match reason {
        Reason::Transition => Why::Transition,
        Reason::Abi => Why::Abi,
        Reason::Sigreturn => Why::Sigreturn,
    }
}

/// Files a report by the tag of its call.
fn file(reports: &mut BTreeMap<u32, Reported>, violation: &Violation) {
    let tag = violation.args[5];
    let number = u32::try_from(tag >> 32).unwrap();
    let (slot, index) = ((tag >> 16 & 0xffff) as u32, (tag & 0xffff) as u32);
    assert!(number > 0 && index != BEFORE, "a report of a call without a tag: {violation:?}");
    let reported = reports.entry(number).or_default();
    reported.entry((slot, index)).or_default().push(why(violation.kind.reason));
}

/// Plays a round.
pub fn round(lab: &Lab, seed: u64) -> Totals {
    let mut random = Random(seed);
    let mut groups: Vec<Group> =
        (0..GROUPS).map(|number| group(lab, &mut random, number)).collect();
    let teachers: Vec<(usize, Plan)> = groups
        .iter()
        .enumerate()
        .flat_map(|(group, g)| g.plans.iter().map(move |plan| (group, *plan)))
        .collect();
    let say = |ran: &Ran, what: String| -> ! {
        panic!(
            "group {}, {:?}: {what}\nagain: SYSFSM_SEED={seed} cargo test --test behaviour a_minute",
            ran.group, ran.plan
        )
    };
    let pause = || std::thread::sleep(Duration::from_millis(1));
    for ran in runs(lab, &groups, &teachers, pause) {
        let programs = &mut groups[ran.group].programs;
        if let Err(difference) = check(&history(&ran.mapped, Reported::new(), true), programs) {
            say(&ran, format!("{difference:?}"));
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
    let options = Options {
        at_most: Level::Kill,
        ring_bytes: 32 << 20,
        full_events: u32::MAX,
        ..Options::default()
    };
    let mut wanted = teachers;
    for group in 0..GROUPS {
        wanted.extend((0..STRANGERS).map(|_| (group, Plan::new(random.number()))));
    }
    let mut enforcer = Enforcer::start(&policies, options).expect("the policies are enforced");
    let mut violations = Vec::new();
    let ran = runs(lab, &groups, &wanted, || {
        enforcer.poll(Duration::from_millis(2), |violation| violations.push(violation)).unwrap();
    });
    while enforcer.poll(Duration::ZERO, |violation| violations.push(violation)).unwrap() > 0 {}
    let totals = enforcer.totals().unwrap();
    enforcer.detach();
    drop(enforcer);
    assert_eq!((totals.events_lost, totals.threads_refused), (0, 0), "{totals:?}");
    let mut reports = BTreeMap::new();
    for violation in &violations {
        file(&mut reports, violation);
    }
    let mut all = Totals { rounds: 1, runs: ran.len(), ..Totals::default() };
    all.killed = usize::try_from(totals.kills).unwrap();
    for ran in ran {
        let programs = &mut groups[ran.group].programs;
        let reported = reports.remove(&ran.number).unwrap_or_default();
        let history = history(&ran.mapped, reported, false);
        match check(&history, programs) {
            Ok(counts) => all.counts.add(&counts),
            Err(difference) => {
                let (slot, index) = difference.at;
                let records = history.records[slot as usize];
                let from = (index as usize).saturating_sub(30);
                let to = (index as usize + 2).min(records.len());
                let trail: Vec<String> = (from..to)
                    .map(|i| {
                        let r = &records[i];
                        format!(
                            "  {i:4} kind {} nr {:3} flags {:3x} pending {:x} sp {:x} detail {:x} done {} reported {:?}",
                            r.kind, r.number, r.flags, r.pending, r.pointer, r.detail, r.done,
                            history.reported.get(&(slot, u32::try_from(i).unwrap()))
                        )
                    })
                    .collect();
                say(
                    &ran,
                    format!(
                        "slot {slot}, record {index}: {}\n{}",
                        difference.what,
                        trail.join("\n")
                    ),
                );
            }
        }
    }
    assert!(reports.is_empty(), "reports of no run: {reports:?}");
    all
}
