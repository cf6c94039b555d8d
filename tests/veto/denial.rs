//! What `deny` demands of a level, and what a denial is: one call's.

use crate::policy::all_but_after_the_marker;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;

#[test]
fn a_level_that_cannot_deny_every_call_says_so() {
    let lab = Lab::new();
    let program = lab.fixture("saboteur");
    let policy = lab.path("policy");
    fs::write(&policy, all_but_after_the_marker(&program, "deny").to_string()).unwrap();
    let enforce = |options: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["enforce", "--policy"]).arg(&policy).args(options).args(["--", "/bin/true"]);
        lab.start(&mut command).end()
    };
    let refused = enforce(&["--at-most", "contain"]);
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    for part in ["deny", "level `contain` cannot refuse", "hint: `--require contain` accepts it"] {
        assert!(refused.stderr.contains(part), "{part:?} in {}", refused.stderr);
    }
    enforce(&["--at-most", "contain", "--require", "contain"]).well("knowingly");
    let kill = enforce(&["--at-most", "kill", "--require", "kill"]);
    assert_eq!(kill.status.code(), Some(2), "nothing denies at level kill: {}", kill.stderr);
}

/// All under one enforcement, as its start and its end take long.
#[test]
fn a_denial_begins_and_ends_with_its_call() {
    const BOUND: usize = 300;
    let lab = Lab::new();
    let program = lab.fixture("lawful");
    let policy = lab.path("policy");
    fs::write(&policy, all_but_after_the_marker(&program, "deny").to_string()).unwrap();
    fs::write("/proc/sys/kernel/core_pattern", "core").unwrap();
    let core = lab.path("core");

    // Without enforcement the calls have their effect.
    let free = lab.fixture_as("lawful", "free");
    let said = |ended: &str| ended.trim().rsplit('\n').next().unwrap().to_string();
    for (call, result) in [("mkdir", "0 1"), ("splice", "1 1"), ("i386:tee", "4 1")] {
        let ended = lab.run(&free, &["pending", call], "").well(call);
        assert_eq!(said(&ended.stdout), result, "{call}");
    }
    fs::remove_dir(lab.path("forbidden")).unwrap();

    let bound = format!("{BOUND}/600");
    let options = ["--require", "contain", "--at-most", "contain", "--denials", &bound];
    let enforcement = lab.enforce(&[&policy], &options);

    // A read of io_uring's that was asked for before ends well.
    let ended = lab.run(&program, &["pending", "mkdir"], "").well("mkdir");
    assert_eq!(said(&ended.stdout), "-1 1");
    assert!(!lab.path("forbidden").exists());
    // Neither is it taken for the call: nothing has refused that.
    let silent = lab.run(&program, &["pending", "splice"], "");
    assert!(silent.killed(), "{} {}", silent.status, silent.stdout);
    // A foreign call is never denied in part.
    let foreign = lab.run(&program, &["pending", "i386:tee"], "");
    assert!(foreign.killed(), "{} {}", foreign.status, foreign.stdout);
    // A crash after a denied call leaves its core.
    let crashed = lab.run(&program, &["core"], "");
    assert_eq!(crashed.status.signal(), Some(libc::SIGSEGV), "{}", crashed.status);
    assert!(crashed.status.core_dumped() && !lab.path("forbidden").exists());
    fs::remove_file(&core).ok();
    // A tracer sees each call of a program, denied or not.
    let log = lab.path("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o"]).arg(&log).arg(&program).args(["retry", "3"]);
    assert_eq!(lab.start(&mut strace).end().well("traced").stdout, "3\n");
    let log = fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches("EPERM").count(), 3, "{log}");
    // Denials become a kill, those of another process do not count.
    lab.run(&program, &["retry", &BOUND.to_string()], "").well("as many as may be");
    let more = lab.run(&program, &["retry", &(BOUND + 1).to_string()], "");
    assert!(more.killed(), "{} {}", more.status, more.stdout);

    let report = enforcement.stop();
    let of = |pid: u32| report.violations.iter().filter(move |v| v["pid"] == pid);
    let actions = |pid: u32| of(pid).map(|v| v["action"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(actions(silent.pid), ["deny"]);
    assert_eq!(actions(foreign.pid), ["kill"]);
    assert_eq!(actions(crashed.pid), ["deny"]);
    let (last, before) = actions(more.pid).split_last().map(|(l, b)| (*l, b.to_vec())).unwrap();
    assert_eq!((last, before), ("kill", vec!["deny"; BOUND]));
}
