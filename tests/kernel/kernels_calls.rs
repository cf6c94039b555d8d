//! Calls that the kernel itself has a program make: they are no symbols.

use serde_json::json;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use sysfsm_testing::lab::Lab;

/// A policy that has every call but those of traces.
fn untraced(lab: &Lab, program: &Path) -> PathBuf {
    let calls: Vec<&str> = (0..1024)
        .filter_map(sysfsm::syscall::name)
        .filter(|name| !["uretprobe", "uprobe"].contains(name))
        .collect();
    let policy = lab.path("policy");
    let json = json!({"sysfsm": 1, "binary": program, "depth": 1, "transitions": {"": calls}});
    fs::write(&policy, json.to_string()).unwrap();
    policy
}

#[test]
fn a_program_lives_while_its_functions_are_traced() {
    let lab = Lab::new();
    let program = lab.fixture("lawful");
    let enforcement = lab.enforce(&[&untraced(&lab, &program)], &[]);
    let traced = lab.run(&program, &["probes"], "").well("a traced program");
    assert_eq!(traced.stdout, "10 10\n", "the probes were hit");
    enforcement.stop().lawful("traced");
}

/// Without a trampoline the kernel refuses the calls, or sends SIGILL.
#[test]
fn a_program_that_makes_such_a_call_by_itself_gets_nothing() {
    let lab = Lab::new();
    let program = lab.fixture("lawful");
    let enforcement = lab.enforce(&[&untraced(&lab, &program)], &[]);
    for number in ["335", "336"] {
        let ended = lab.run(&program, &["forge", number], "");
        let refused = ended.status.signal() == Some(libc::SIGILL)
            || [libc::ENOSYS, libc::ENXIO, libc::EPROTO]
                .contains(&ended.stdout.trim().parse().unwrap_or(0));
        assert!(refused, "{number}: {} {}", ended.status, ended.stdout);
    }
    enforcement.stop().lawful("forged");
}
