//! What a call costs: bare, with an empty program on the hook, under a seccomp filter, watched,
//! unwatched, recorded.

use super::empty::Empty;
use super::recording;
use super::rounds::{interleave, Way};
use super::row::{Row, Target};
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::lab::Lab;

const ROUNDS: usize = 101;
/// Batches of one sample.
const BATCHES: &str = "15";

/// What one call of a program's takes, in nanoseconds.
pub fn cost(lab: &Lab, program: &Path, arguments: &[&str]) -> f64 {
    // Wherever it ran, it would run on a processor whose other tasks it shares; on one, it is the
    // same one each time.
    let mut command = Command::new("taskset");
    command.args(["-c", "1"]).arg(program).args(arguments).arg(BATCHES);
    lab.start(&mut command).end().well("calls").stdout.trim().parse().unwrap()
}

/// The policy of `calls` at a depth, learned from a short run.
pub fn policy(lab: &Lab, calls: &Path, depth: &str) -> PathBuf {
    // Each call takes strace a tenth of a millisecond.
    lab.learn_at(depth, calls, &[(&["1"], "")])
}

pub fn rows() -> Vec<Row> {
    let lab = Lab::new();
    // One file for all ways: two copies differ by several nanoseconds, by the pages that they
    // happen to lie in.
    let (calls, other) = (lab.fixture("calls"), lab.fixture_as("calls", "other"));
    let (pairs, octets) = (policy(&lab, &calls, "2"), policy(&lab, &calls, "8"));
    let of_other = policy(&lab, &other, "2");
    let empty = Empty::load();
    let under = |policy: &Path| {
        let enforcement = lab.enforce(&[policy], &[]);
        let cost = cost(&lab, &calls, &[]);
        let report = enforcement.stop();
        // The watched are judged to the last call.
        let judged = report.judged();
        assert!(
            if policy == of_other { judged == 0 } else { judged > 500_000 },
            "{judged} calls judged"
        );
        assert!(report.violations.is_empty(), "{:?}", report.violations.first());
        cost
    };
    let mut ways = [
        Way::new("bare", || cost(&lab, &calls, &[])),
        Way::new("empty", || {
            let _link = empty.attach();
            cost(&lab, &calls, &[])
        }),
        Way::new("seccomp", || cost(&lab, &calls, &["filter"])),
        Way::new("unwatched", || under(&of_other)),
        Way::new("depth 2", || under(&pairs)),
        Way::new("depth 8", || under(&octets)),
    ];
    let samples = interleave("hook", ROUNDS, &mut ways);
    let mut rows = vec![
        Row::new("a bare call", "ns", Target::None, samples.of("bare")),
        Row::new(
            "an empty program on the hook, over a bare call",
            "ns",
            Target::None,
            samples.more("empty", "bare"),
        ),
        Row::new(
            "a seccomp filter with one argument, over a bare call",
            "ns",
            Target::None,
            samples.more("seccomp", "bare"),
        ),
    ];
    for depth in ["depth 2", "depth 8"] {
        rows.push(Row::new(
            format!("watched call, {depth}, over the empty program"),
            "ns",
            Target::AtMost(8.0),
            samples.more(depth, "empty"),
        ));
        rows.push(Row::new(
            format!("watched call, {depth}, against a seccomp filter"),
            "×",
            Target::AtMost(1.1),
            samples.times(depth, "seccomp"),
        ));
    }
    rows.push(Row::new(
        "unwatched call, over the empty program",
        "ns",
        Target::AtMost(2.0),
        samples.more("unwatched", "empty"),
    ));
    rows
}

/// What it costs to learn from a call, against judging it.
pub fn record() -> Vec<Row> {
    let lab = Lab::new();
    let calls = lab.fixture("calls");
    let policy = policy(&lab, &calls, "2");
    let enforced = || {
        let enforcement = lab.enforce(&[&policy], &[]);
        let cost = cost(&lab, &calls, &[]);
        enforcement.stop().lawful("calls");
        cost
    };
    let recorded = || recording::record(&lab, &calls, || cost(&lab, &calls, &[])).1;
    let mut ways = [Way::new("enforce", enforced), Way::new("record", recorded)];
    let samples = interleave("record", ROUNDS, &mut ways);
    vec![Row::new(
        "recorded call, against an enforced one",
        "×",
        Target::AtMost(1.15),
        samples.times("record", "enforce"),
    )]
}
