//! What a watched call costs when there is much of something: policies, transitions, threads.

use super::hook::{cost, policy};
use super::rounds::{interleave, Way};
use super::row::{Row, Target};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::lab::{Enforcement, Lab};
use sysfsm_testing::more_ids::MoreIds;

/// Fewer than elsewhere: to start with so much takes long.
const ROUNDS: usize = 7;
const POLICIES: usize = 4096;
const TRANSITIONS: usize = 1_000_000;
const THREADS: usize = 100_000;

/// The cost with much against that with little, which may differ by a tenth.
const FLAT: Target = Target::AtMost(1.1);

fn measure(lab: &Lab, calls: &Path, enforcement: Enforcement) -> f64 {
    let cost = cost(lab, calls, &[]);
    enforcement.stop().lawful("calls");
    cost
}

fn row(what: String, little: impl FnMut() -> f64, much: impl FnMut() -> f64) -> Row {
    let mut ways = [Way::new("little", little), Way::new("much", much)];
    let samples = interleave(&what, ROUNDS, &mut ways);
    Row::new(what, "×", FLAT, samples.times("much", "little"))
}

/// A directory of so many policies, among them `own`.
pub fn policies(lab: &Lab, own: &Path, count: usize, of: &str) -> PathBuf {
    let directory = lab.fresh("policies");
    fs::create_dir(&directory).unwrap();
    fs::copy(own, directory.join("own.json")).unwrap();
    for i in 1..count {
        let binary = lab.path(&format!("program-{i}"));
        fs::write(&binary, [0x7f]).unwrap();
        let policy = of.replace("BINARY", &binary.display().to_string());
        fs::write(directory.join(format!("{i}.json")), policy).unwrap();
    }
    directory
}

/// A policy of another program's with so many transitions.
pub fn synthetic(transitions: usize) -> String {
    let mut rows = String::new();
    for at in 0..transitions / 10 {
        let symbols: Vec<String> =
            (0..10).map(|i| format!("\"syscall_{}\"", 500 + (at * 7 + i * 3) % 400)).collect();
        let _ = write!(
            rows,
            "{}\"syscall_{} syscall_{}\":[{}]",
            if at == 0 { "" } else { "," },
            1000 + at % 500,
            1500 + at / 500,
            symbols.join(",")
        );
    }
    format!("{{\"sysfsm\":1,\"binary\":\"BINARY\",\"depth\":3,\"transitions\":{{{rows}}}}}")
}

/// The policy, with so many transitions more, from contexts that do not occur.
fn larger(lab: &Lab, policy: &Path, transitions: usize) -> PathBuf {
    let mut json: Value = serde_json::from_slice(&fs::read(policy).unwrap()).unwrap();
    let more: Value = serde_json::from_str(&synthetic(transitions)).unwrap();
    let own = json["transitions"].as_object_mut().unwrap();
    own.extend(more["transitions"].as_object().unwrap().clone());
    let to = lab.fresh("larger");
    fs::write(&to, json.to_string()).unwrap();
    to
}

pub fn rows() -> Vec<Row> {
    let lab = Lab::new();
    let calls = lab.fixture("calls");
    let triples = policy(&lab, &calls, "3");
    let among_many = policies(&lab, &triples, POLICIES, &synthetic(200));
    let large = larger(&lab, &triples, TRANSITIONS);
    let with = |policies: &Path| measure(&lab, &calls, lab.enforce(&[policies], &[]));
    let mut rows = vec![
        row(
            format!("watched call, {POLICIES} policies against 1"),
            || with(&triples),
            || with(&among_many),
        ),
        row(
            format!("watched call, {TRANSITIONS} transitions more against none"),
            || with(&triples),
            || with(&large),
        ),
    ];
    rows.push(threads(&lab, &calls, &triples));
    rows
}

/// A crowd that is watched, and waits.
fn threads(lab: &Lab, calls: &Path, policy: &Path) -> Row {
    let _more = MoreIds::at_least(400_000);
    let crowd = lab.fixture("crowd");
    let crowds = lab.learn_at("1", &crowd, &[(&["3", "20"], "")]);
    let with = |processes: usize| {
        let enforcement = lab.enforce(&[policy, &crowds], &[]);
        let mut command = Command::new(&crowd);
        command.args([&processes.to_string(), &(THREADS / 10).to_string(), "stay"]);
        let mut waiting = lab.start(&mut command);
        waiting.said(|said| said.contains("threads"));
        let cost = cost(lab, calls, &[]);
        waiting.end().well("the crowd");
        enforcement.stop().lawful("calls and a crowd");
        cost
    };
    row(
        format!("watched call, {THREADS} watched threads more against none"),
        || with(0),
        || with(10),
    )
}
