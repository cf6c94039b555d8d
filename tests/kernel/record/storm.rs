//! All CPUs at once: no transition, no call and no run is lost or counted twice. What there must be
//! is computed.

use super::{json, start, stopped, transitions, Transitions};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use sysfsm_fixtures::walk::{walk, MARK};
use sysfsm_testing::lab::Lab;

/// Symbol → how often, and in which processes.
type Row = BTreeMap<u64, (u64, BTreeSet<u64>)>;

/// What the walks are, of `threads` threads in each process, which is a run: context → symbol →
/// calls, and in which processes. Of each walk its seed, and how many calls it was.
fn reference(depth: usize, threads: u64, walks: &[(u64, u64)]) -> Transitions {
    let mut all: BTreeMap<Vec<u64>, Row> = BTreeMap::new();
    for &(seed, calls) in walks {
        let process = seed / threads;
        let numbers = walk(seed).take(usize::try_from(calls).unwrap());
        let mut context = vec![MARK];
        for symbol in numbers.chain([MARK]) {
            if context.last() == Some(&symbol) {
                continue;
            }
            // What came before the first mark is the program's own.
            if context.len() == depth - 1 {
                let row = match all.get_mut(&context) {
                    Some(row) => row,
                    None => all.entry(context.clone()).or_default(),
                };
                let count = row.entry(symbol).or_default();
                count.0 += 1;
                count.1.insert(process);
                context.remove(0);
            }
            context.push(symbol);
        }
    }
    let mut found = Transitions::new();
    for (context, row) in all {
        let context: Vec<String> =
            context.iter().map(|number| format!("syscall_{number}")).collect();
        for (symbol, (calls, processes)) in row {
            found.insert(
                format!("{} → syscall_{symbol}", context.join(" ")),
                (calls, processes.len() as u64),
            );
        }
    }
    found
}

/// Records walks of a number of calls, or of a time, and compares; how many million calls a second they
/// were, and for how many seconds.
#[track_caller]
fn storm(depth: usize, processes: u64, threads: u64, length: &str, room: &str) -> (f64, f64) {
    let lab = Lab::new();
    let program = lab.fixture("walkers").display().to_string();
    let policy = lab.path("policy.json");
    let [depth_text, processes_text, threads_text] =
        [depth as u64, processes, threads].map(|n| n.to_string());
    let mut arguments =
        vec!["--depth", &depth_text, "--room", room, "-o", policy.to_str().unwrap()];
    arguments.extend(["--", &program, &processes_text, &threads_text, length]);
    let begun = Instant::now();
    let ended = start(&lab, &arguments).end_within(Duration::from_secs(300)).well("record");
    let seconds = begun.elapsed().as_secs_f64();

    let stop = stopped(&ended.stderr);
    let walked = ended.stdout.lines().filter_map(|line| {
        let (seed, calls) = line.strip_prefix("WALKED ")?.split_once(' ')?;
        Some((seed.parse().unwrap(), calls.parse().unwrap()))
    });
    let walks: Vec<(u64, u64)> = walked.collect();
    assert_eq!(walks.len() as u64, processes * threads, "{}", ended.stdout);

    let policy = json(&policy);
    let of_walks = |(key, _): &(&String, &(u64, u64))| {
        key.split(' ').all(|s| s == "→" || s.starts_with("syscall_"))
    };
    let recorded = transitions(&policy);
    let recorded: Transitions =
        recorded.iter().filter(of_walks).map(|(k, &c)| (k.clone(), c)).collect();
    let expected = reference(depth, threads, &walks);
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(key, count)| recorded.get(*key) != Some(count))
        .map(|(key, count)| format!("{key}: recorded {:?}, done {count:?}", recorded.get(key)))
        .take(20)
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(recorded.len(), expected.len());
    assert_eq!(policy["runs"], processes + 1, "one for each, and one of their creator");
    let all: u64 = walks.iter().map(|(_, calls)| calls + 2).sum();
    assert!(stop["calls"].as_u64().unwrap() >= all);
    #[allow(clippy::cast_precision_loss)]
    let rate = all as f64 / seconds / 1e6;
    eprintln!(
        "depth {depth}: {all} calls of {processes} runs, {} transitions, {rate:.1} M calls/s",
        expected.len()
    );
    (rate, seconds)
}

#[test]
fn threads_of_one_run_lose_nothing() {
    storm(2, 1, 4, "500000", "4000");
}

#[test]
fn runs_that_interleave_are_counted_exactly() {
    // Each transition is taken by each run, and by each of them many times.
    storm(2, 12, 1, "100000", "4000");
    storm(2, 8, 3, "50000", "4000");
    // Some by some of them.
    storm(3, 12, 2, "10000", "150000");
}

#[test]
fn new_contexts_on_all_sides_lose_nothing() {
    storm(4, 4, 2, "20000", "250000");
    storm(8, 3, 2, "20000", "200000");
}

#[test]
#[ignore = "both CPUs for minutes, and a rate: make test-storm"]
fn a_minute_of_two_million_calls_a_second_loses_nothing() {
    for processes in [1, 2] {
        let (rate, seconds) = storm(2, processes, 2 / processes, "60s", "4000");
        assert!(seconds >= 60.0 && rate >= 2.0, "{rate:.1} M calls/s for {seconds:.0} s");
    }
}
