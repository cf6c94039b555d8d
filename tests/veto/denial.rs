//! What `deny` demands of a level.

use crate::policy::all_but_after_the_marker;
use std::fs;
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
