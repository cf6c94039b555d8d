//! Signal handlers: those that are left live, and neither faults nor forged returns widen what a
//! thread may do (semantics, rules 3 and 8).

use std::fs;
use std::path::{Path, PathBuf};
use sysfsm_testing::lab::Lab;
use sysfsm_testing::times;

/// A copy of the program, a directory, and the policy of its lawful work, learned at a depth.
fn learned(lab: &Lab, depth: &str) -> (PathBuf, PathBuf, PathBuf) {
    let program = lab.fixture("handlers");
    let directory = lab.path("kept");
    fs::create_dir(&directory).unwrap();
    let at = directory.to_str().unwrap();
    let runs: [(&[&str], &str); 6] = [
        (&["work", at], ""),
        (&["work", at], ""),
        (&["leave", "300"], ""),
        (&["setup"], ""),
        (&["disarm"], ""),
        (&["deep"], ""),
    ];
    let policy = lab.learn_at(depth, &program, &runs);
    (program, directory, policy)
}

/// The attacks end before they do anything, by a violation of this reason.
fn attacks(depth: &str, arguments: &[&str]) {
    let lab = Lab::new();
    let (program, directory, policy) = learned(&lab, depth);
    let mut arguments = arguments.to_vec();
    arguments.push(directory.to_str().unwrap());
    // Without enforcement it works.
    lab.run(&program, &arguments, "").well("the attack itself");
    assert!(!directory.exists(), "the attack does nothing");
    fs::create_dir(&directory).unwrap();
    let enforcement = lab.enforce(&[&policy], &[]);
    for _ in 0..10 {
        let ended = lab.run(&program, &arguments, "");
        assert!(ended.killed() && directory.exists(), "depth {depth}: {}", ended.status);
    }
    let report = enforcement.stop();
    assert_eq!(report.violations.len(), 10);
    assert!(
        report.violations.iter().all(|v| v["reason"] == "sigreturn"),
        "{:?}",
        report.violations
    );
}

#[test]
fn nested_faults_with_forged_returns_lose_no_frame() {
    for depth in ["2", "3"] {
        attacks(depth, &["nest", "400"]);
        attacks(depth, &["nest", "20"]);
    }
}

#[test]
fn a_handler_that_was_left_is_returned_from_no_more() {
    attacks("2", &["stray"]);
}

#[test]
fn programs_that_leave_their_handlers_live() {
    let lab = Lab::new();
    let (program, directory, policy) = learned(&lab, "2");
    let enforcement = lab.enforce(&[&policy], &[]);
    lab.run(&program, &["work", directory.to_str().unwrap()], "").well("work");
    let count = (2000 * times()).to_string();
    lab.run(&program, &["leave", &count], "").well("leave");
    lab.run(&program, &["setup"], "").well("setup");
    lab.run(&program, &["disarm"], "").well("disarm");
    enforcement.stop().lawful("handlers");
}

#[test]
fn a_handler_on_an_alternate_stack_with_handlers_that_were_left_lives() {
    let lab = Lab::new();
    let (program, _, policy) = learned(&lab, "2");
    let enforcement = lab.enforce(&[&policy], &[]);
    lab.run(&program, &["deep"], "").well("deep");
    let events = enforcement.stop_raw();
    // Of 20 handlers, four count as over while the others are active.
    for total in ["\"violations\":0", "\"frames_dropped\":4"] {
        assert!(events.contains(total), "{total}: {events}");
    }
}

/// What an adopted thread of tests/programs/src/bin/adopted.rs does once its file says so.
fn adopted(depth: &str, does: &str) -> (bool, Vec<String>) {
    let lab = Lab::new();
    let program = lab.fixture("adopted");
    let says = |what: &str| {
        let path = lab.path("says");
        fs::write(&path, what).unwrap();
        path
    };
    let file = says("q");
    let at = file.to_str().unwrap().to_string();
    let policy = lab.learn_at(depth, &program, &[(&[&at], ""), (&[&at], "")]);
    overwrite(&file, "l");
    let mut running = lab.start(std::process::Command::new(&program).arg(&at));
    running.said(|text| text.contains("ready"));
    let enforcement = lab.enforce(&[&policy], &[]);
    // It makes lawful calls, so that its context is known.
    std::thread::sleep(std::time::Duration::from_millis(300));
    overwrite(&file, does);
    let ended = running.end();
    let report = enforcement.stop();
    assert!(report.start["adopted"].as_u64().unwrap() >= 1, "{:?}", report.start);
    let reasons =
        report.violations.iter().map(|v| v["reason"].as_str().unwrap().to_string()).collect();
    (ended.killed(), reasons)
}

/// In place: the program has mapped it.
fn overwrite(file: &Path, what: &str) {
    use std::os::unix::fs::FileExt as _;
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .unwrap()
        .write_all_at(what.as_bytes(), 0)
        .unwrap();
}

#[test]
fn an_adopted_thread_is_held_to_its_policy_at_every_depth() {
    for depth in ["2", "3", "4", "8"] {
        let (killed, reasons) = adopted(depth, "q");
        assert!(!killed && reasons.is_empty(), "depth {depth}, lawful: {reasons:?}");
        let (killed, reasons) = adopted(depth, "r");
        assert!(killed && reasons == ["transition"], "depth {depth}, in reverse: {reasons:?}");
        let (killed, reasons) = adopted(depth, "s");
        assert!(killed && reasons == ["sigreturn"], "depth {depth}, a return: {reasons:?}");
        let (_, reasons) = adopted(depth, "f");
        assert!(reasons.iter().all(|r| r == "sigreturn"), "depth {depth}, children: {reasons:?}");
        assert_eq!(reasons.len(), 5, "depth {depth}, children");
    }
}
