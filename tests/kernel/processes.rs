//! Threads, children, signals, and the command that `enforce` runs itself.

use serde_json::{json, Value};
use std::path::Path;
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Lab, Report};

const TIMES: usize = 20;

/// Runs a program of tests/programs many times under the policy that it was learned with.
fn lives(name: &str) {
    let lab = Lab::new();
    let program = lab.fixture(name);
    let policy = lab.learn(&program, &[(&[], ""), (&[], "")]);
    let enforcement = lab.enforce(&[&policy], &[]);
    for _ in 0..50 {
        lab.run(&program, &[], "").well(name);
    }
    enforcement.stop().lawful(name);
}

#[test]
fn nested_signal_handlers_live() {
    lives("signals");
}

#[test]
fn children_of_every_kind_live() {
    lives("forks");
}

#[test]
fn one_threads_violation_ends_the_whole_process() {
    let lab = Lab::new();
    let threads = lab.fixture("threads");
    // Threads differ in scheduling: futexes come where they come.
    let policy = lab.learn(&threads, &[(&["8"] as &[&str], "work"); 8]);
    let enforcement = lab.enforce(&[&policy], &[]);
    for _ in 0..TIMES {
        let ended = lab.run(&threads, &["8"], "offend");
        assert!(ended.killed() && !ended.stdout.contains("done"), "{}", ended.status);
    }
    assert!(enforcement.stop().violations.len() >= TIMES);
}

#[test]
fn a_child_that_execs_is_released_or_inherits() {
    let lab = Lab::new();
    let shell = lab.copy(Path::new("/bin/dash"), "shell");
    // It also says when a child was killed.
    let runs: [(&[&str], &str); 2] =
        [(&["-c", "/bin/true; exit 0"], ""), (&["-c", "/bin/sh -c 'kill -KILL $$'; exit 0"], "")];
    let released = lab.learn(&shell, &runs.repeat(3));
    let inherited = lab.with(&released, "children", json!("inherit"));
    for (policy, lives) in [(&released, true), (&inherited, false)] {
        let enforcement = lab.enforce(&[policy], &[]);
        for _ in 0..5 {
            // What cat does, no shell does.
            let ended =
                lab.run(&shell, &["-c", "/bin/cat /proc/self/comm; exit 0"], "").well("the shell");
            assert_eq!(ended.stdout.trim() == "cat", lives, "{}", ended.stdout);
        }
        let report = enforcement.stop();
        assert_eq!(report.violations.len(), if lives { 0 } else { 5 });
        assert!(
            report.violations.iter().all(|v| v["comm"] == "cat"),
            "the child violates, not the shell"
        );
    }
}

#[test]
fn a_violation_on_a_terminal_is_explained_by_its_id() {
    let lab = Lab::new();
    let victim = lab.fixture("victim");
    let policy = lab.learn(&victim, &[(&[], "work")]);
    let events = lab.path("events");
    for _ in 0..2 {
        let mut command = Command::new(binary());
        command
            .args(["enforce", "--at-most", "kill", "--events"])
            .arg(&events)
            .arg("--policy")
            .arg(&policy);
        let mut running = lab.start(command.arg("--").arg(&victim));
        running.say("attack unknown-call");
        let line = running.end().stdout;
        let (_, id) = line.trim_end().trim_end_matches(']').rsplit_once(" [").expect("an id");
        let mut explain = Command::new(binary());
        explain.args(["explain", id, "--events"]).arg(&events).arg("--policy").arg(&policy);
        let told = lab.start(&mut explain).end().well("explain").stdout;
        assert!(told.contains("it was killed") && told.contains("syscall_4000"), "{told}");
        assert_eq!(told.matches("it was killed").count(), 1, "{told}");
    }
    // Both runs, each from its start to its stop.
    let kinds: Vec<Value> = std::fs::read_to_string(&events)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let kinds: Vec<&str> = kinds.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, ["start", "violation", "stop"].repeat(2));
}

#[test]
fn enforce_ends_with_its_commands_status() {
    let lab = Lab::new();
    let victim = lab.fixture("victim");
    let policy = lab.learn(&victim, &[(&[], "work")]);
    for (line, options, status) in [
        ("work", &[] as &[&str], 0),
        ("neither", &[], 2),
        ("attack unknown-call", &[], 137),
        ("attack unknown-call", &["--log-only"], 42),
    ] {
        let mut command = Command::new(binary());
        command.args(["enforce", "--json", "--at-most", "kill", "--policy"]).arg(&policy);
        command.args(options).arg("--").arg(&victim);
        let mut running = lab.start(&mut command);
        running.say(line);
        let ended = running.end();
        assert_eq!(ended.status.code(), Some(status), "{line}: {}", ended.stderr);
        let report = Report::of(&ended.stdout);
        assert_eq!(report.violations.is_empty(), !line.starts_with("attack"), "{line}");
        assert!(report.judged() > 0);
    }
}
