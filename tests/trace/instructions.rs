//! The cost of a line of a log and of a step, in instructions. valgrind counts them, so that the
//! bounds apply on any machine, however busy. `make bench` measures times.

use std::fs;
use std::path::Path;
use std::process::Command;
use sysfsm_fixtures::load::log;
use sysfsm_testing::binary;
use sysfsm_testing::fixture;
use tempfile::TempDir;

/// The number of instructions that a program executes in all its threads. The program runs on one
/// processor, so that it starts no worker threads.
fn count(program: &Path, arguments: &[&str]) -> u64 {
    let output = Command::new("taskset")
        .args(["-c", "0", "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output()
        .expect("taskset (util-linux) and valgrind are there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let counted =
        said.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind's count").1;
    counted.trim().parse().unwrap()
}

/// The instructions of one thing, by the counts for a few things and for `more` things more.
fn each(few: u64, many: u64, more: u64) -> u64 {
    (many - few) / more
}

#[track_caller]
fn within(what: &str, instructions: u64, bound: u64) {
    println!("{what}: {instructions} instructions, at most {bound}");
    assert!(instructions <= bound, "{what}: {instructions}, bound {bound}");
}

/// The instructions of one line, of a command that reads a log.
fn a_line(dir: &Path, command: &[&str], threads: bool) -> u64 {
    const FEW: u64 = 500;
    const MANY: u64 = 5_500;
    let of = |blocks: u64| {
        let file = dir.join(format!("{blocks}.log"));
        fs::write(&file, log(blocks, threads)).unwrap();
        count(Path::new(binary()), &[command, &[file.to_str().unwrap()]].concat())
    };
    each(of(FEW), of(MANY), (MANY - FEW) * 4)
}

#[test]
fn a_line_of_a_log() {
    let dir = TempDir::new().unwrap();
    let policy = dir.path().join("policy.json");
    let policy = policy.to_str().unwrap();
    let extract = ["extract", "-o", policy];
    within("extract, a plain line", a_line(dir.path(), &extract, false), 900);
    within("check, a plain line", a_line(dir.path(), &["check", "--policy", policy], false), 1250);
    within("extract, a line of two threads", a_line(dir.path(), &extract, true), 1100);
}

#[test]
fn a_step() {
    let steps = fixture("steps");
    for (depth, bound) in [("2", 420), ("8", 650)] {
        let of = |count_of_steps: &str| count(&steps, &[depth, count_of_steps]);
        within(&format!("a step at depth {depth}"), each(of("1000"), of("21000"), 20_000), bound);
    }
}
