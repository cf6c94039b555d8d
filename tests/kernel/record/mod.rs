//! `record`: what it learns is what a log of the same work teaches; it loses nothing in a storm,
//! and no file when it is killed.

mod crash;
mod same;
mod storm;
mod targets;
mod usage;
mod who;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Lab, Running};

/// Transitions of one policy: `context → symbol`, with calls and runs.
type Transitions = BTreeMap<String, (u64, u64)>;

fn transitions(policy: &Value) -> Transitions {
    let mut all = Transitions::new();
    for (context, row) in policy["transitions"].as_object().unwrap() {
        for (symbol, count) in row.as_object().unwrap() {
            let number = |key: &str| count[key].as_u64().unwrap();
            all.insert(format!("{context} → {symbol}"), (number("calls"), number("runs")));
        }
    }
    all
}

fn json(file: &Path) -> Value {
    let text = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// The policies of a directory, by their binaries.
fn policies(directory: &Path) -> BTreeMap<String, Value> {
    let files = fs::read_dir(directory).unwrap().map(|entry| json(&entry.unwrap().path()));
    files.map(|policy| (policy["binary"].as_str().unwrap().to_string(), policy)).collect()
}

/// Starts `sysfsm record --json`, and waits until it records.
#[track_caller]
fn start(lab: &Lab, arguments: &[&str]) -> Running {
    let mut command = Command::new(binary());
    command.args(["record", "--json"]).args(arguments);
    let mut running = lab.start(&mut command);
    let said = running.complained(|text| text.contains("\"event\":\"record_start\""));
    assert!(said.contains("\"event\":\"record_start\""), "record does not start: {said}");
    running
}

/// What it said at its end.
#[track_caller]
fn stopped(stderr: &str) -> Value {
    let events = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let stop = events.into_iter().find(|event| event["event"] == "record_stop");
    let stop = stop.unwrap_or_else(|| panic!("no stop event in {stderr}"));
    for total in
        ["transitions_lost", "contexts_lost", "programs_lost", "runs_uncertain", "threads_refused"]
    {
        assert_eq!(stop[total], 0, "{total} in {stop}");
    }
    stop
}
