//! No flood hides a call: what a program does not want to be seen is reported by its name, though
//! the program makes more kinds of violations before than there is room for, faster than anybody
//! reads.

use nix::sys::signal::{kill, Signal};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use sysfsm_testing::lab::{Lab, Report};

#[test]
fn one_call_is_reported_whatever_else_is_made() {
    let lab = Lab::new();
    let flood = lab.fixture("flood");
    // Each call of the flood is a context, so that each pair is a kind.
    let mut transitions = BTreeMap::from([("execve".to_string(), json!(["brk"]))]);
    for number in 600..780 {
        transitions.insert(format!("syscall_{number}"), json!([format!("syscall_{}", number + 1)]));
    }
    let policy = lab.path("policy.json");
    let text = json!({"sysfsm": 1, "binary": flood, "transitions": transitions});
    fs::write(&policy, text.to_string()).unwrap();

    let enforcement = lab.enforce(&[&policy], &["--log-only"]);
    // Nobody reads meanwhile.
    kill(enforcement.pid(), Signal::SIGSTOP).unwrap();
    lab.run(&flood, &[], "").well("the flood");
    kill(enforcement.pid(), Signal::SIGCONT).unwrap();
    let said = enforcement.stop_raw();
    let report = Report::of(&said);

    let of = |symbol: &str| report.violations.iter().filter(|v| v["symbol"] == symbol).count();
    assert_eq!(of("getpgid"), 1, "{}", report.stop);
    let hidden = report.violations.iter().find(|v| v["symbol"] == "getpgid").unwrap();
    // It says where, and the event of a call that no kernel has says its number.
    assert_eq!(hidden["context"], json!(["syscall_778"]), "{hidden}");
    assert!(of("syscall_5000") == 1, "{}", report.stop);
    // The flood is more kinds than there is room for.
    assert!(report.stop["unclassified"].as_u64().unwrap() > 1000, "{}", report.stop);
    // Each call that was made is named.
    let named: BTreeSet<&str> =
        report.violations.iter().map(|v| v["symbol"].as_str().unwrap()).collect();
    for number in 600..780 {
        assert!(named.contains(format!("syscall_{number}").as_str()), "syscall_{number}");
    }
    // What no kernel has is one kind, and all violations add up.
    let repeated: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["event"] == "repeated")
        .collect();
    let beyond: Vec<&Value> = repeated.iter().filter(|r| r["symbol"] == "syscall_1024+").collect();
    assert!((1..=3).contains(&beyond.len()), "{beyond:?}");
    let counted: u64 = repeated.iter().map(|r| r["count"].as_u64().unwrap()).sum();
    let all = report.stop["violations"].as_u64().unwrap();
    assert_eq!(counted + report.violations.len() as u64, all, "{}", report.stop);
    assert!(repeated.iter().any(|r| r["context"] == json!(["*"])), "none of a call in any context");
}
