//! `make bench`: the table of docs/performance.md, target beside result. Each row is a ratio, or a
//! distance, of things that were measured in turn within one run. Needs root, BPF, and a machine
//! that does nothing else.
//!
//! usage: cargo bench --bench table -- [GROUP...]      of hook, size, record, programs, logs,
//! memory, start; all of them
//!
//! The same for machines goes to target/bench.jsonl. The exit status is 1 if a target was missed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    unsafe_code
)]

mod empty;
mod hook;
mod logs;
mod memory;
mod programs;
mod recording;
mod rounds;
mod row;
mod size;
mod start;

use row::Row;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// A part of the table.
type Group = (&'static str, fn() -> Vec<Row>);

const GROUPS: [Group; 7] = [
    ("hook", hook::rows),
    ("size", size::rows),
    ("record", hook::record),
    ("programs", programs::rows),
    ("logs", logs::rows),
    ("memory", memory::rows),
    ("start", start::rows),
];

/// What the machine is: `model name`, its CPUs, its kernel.
fn machine() -> String {
    let of = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = of("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(": "))
        .unwrap_or_default()
        .1;
    let cpus = cpuinfo.lines().filter(|l| l.starts_with("processor")).count();
    format!("{model}, {cpus} CPUs, Linux {}", of("/proc/sys/kernel/osrelease").trim())
}

fn main() -> ExitCode {
    // cargo adds an option of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    println!("{}\n", machine());
    println!("| what | target | median | quartiles | |\n|---|---|---|---|---|");
    let mut lines = String::new();
    let mut met = true;
    for (name, rows) in GROUPS {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        for row in rows() {
            println!("{}", row.line());
            let _ = writeln!(lines, "{}", row.json());
            met &= row.met();
        }
    }
    let copy = Path::new(sysfsm_testing::binary()).with_file_name("../bench.jsonl");
    fs::write(&copy, lines).expect("the target directory can be written");
    ExitCode::from(u8::from(!met))
}
