//! What `record` refuses, and what it tells when there is no room: exit status 2, with a hint.

use super::{json, transitions};
use std::path::Path;
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::command::refused;
use sysfsm_testing::lab::{Ended, Lab};

fn record(lab: &Lab, arguments: &[&str]) -> Ended {
    lab.start(Command::new(binary()).arg("record").args(arguments)).end()
}

#[track_caller]
fn fails(ended: &Ended, parts: &[&str]) {
    refused(ended.status, &ended.stderr, parts);
}

#[test]
fn bad_usage() {
    let lab = Lab::new();
    fails(&record(&lab, &["-o", "x"]), &["nothing to record", "--binary", "--pid"]);
    fails(
        &record(&lab, &["-o", "x", "--binary", "/bin/ls", "/bin/cat"]),
        &["2 binaries", "`x`", "DIR/"],
    );
    fails(&record(&lab, &["-o", "no/such/x", "--", "/bin/true"]), &["`no/such/x`"]);
    fails(&record(&lab, &["-o", "x", "--binary", "/no/such/program"]), &["/no/such/program"]);
    fails(&record(&lab, &["-o", "policies/", "--binary", "/bin/ls", "/bin/ls"]), &["same file"]);
    fails(&record(&lab, &["-o", "x", "--pid", "4000000"]), &["no process `4000000`"]);
    fails(&record(&lab, &["-o", "x", "--pid", "2"]), &["process `2` has no program"]);
    fails(&record(&lab, &["-o", "x", "--for", "10", "--", "/bin/true"]), &["`10`", "--for", "10m"]);
    fails(
        &record(&lab, &["-o", "x", "--", "/no/such/program"]),
        &["cannot run `/no/such/program`"],
    );
    for usage in [
        &["--", "/bin/true"][..],
        &["-o", "x", "--depth", "9", "--", "/bin/true"],
        &["-o", "x", "--room", "0", "--", "/bin/true"],
        &["-o", "x", "--pid", "1", "--binary", "/bin/ls"],
    ] {
        assert_eq!(record(&lab, usage).status.code(), Some(2), "{usage:?}");
    }
    assert!(!lab.path("x").exists(), "nothing is half-written");
}

#[test]
fn what_was_not_seen_is_an_error() {
    let lab = Lab::new();
    let arguments = ["-o", "x", "--for", "200ms", "--binary", "/usr/bin/yes"];
    fails(&record(&lab, &arguments), &["no run was seen"]);
    assert!(!lab.path("x").exists());
}

#[test]
fn a_full_table_is_an_error_and_the_file_is_written() {
    let lab = Lab::new();
    let walkers = lab.fixture("walkers").display().to_string();
    let file = lab.path("policy.json");
    for depth in ["2", "8"] {
        let arguments = ["--room", "100", "--depth", depth, "-o", file.to_str().unwrap(), "--"];
        let ended = record(&lab, &[&arguments as &[&str], &[&walkers, "1", "2", "3000"]].concat());
        fails(&ended, &["the recording has gaps", "found no room", "--room"]);
        let policy = json(&file);
        assert_eq!(policy["binary"], *walkers);
        let some = transitions(&policy).len();
        assert!((100..300).contains(&some), "depth {depth}: {some} transitions");
        std::fs::remove_file(&file).unwrap();
    }
    let ended =
        record(&lab, &["--room", "100", "-o", "y", "--json", "--", &walkers, "1", "2", "3000"]);
    assert!(ended.stderr.contains("\"transitions_lost\":"), "{}", ended.stderr);
    assert!(Path::new(&lab.path("y")).exists());
}

#[test]
fn on_a_terminal_a_line_tells_how_far_it_is() {
    let lab = Lab::new();
    let shell = lab.copy(Path::new("/bin/dash"), "shell").display().to_string();
    // Each of the shells in the loop is a run.
    let work = format!("for i in 1 2 3; do {shell} -c :; done; sleep 3");
    let recording = ["record", "-o", "policy.json", "--binary", &shell, "--", "sh", "-c", &work];
    let on_terminal = {
        let command: Vec<String> =
            [binary()].iter().chain(&recording).map(|word| format!("'{word}'")).collect();
        lab.start(Command::new("script").args(["-qec", &command.join(" "), "/dev/null"]))
            .end()
            .well("record")
    };
    let lines: Vec<&str> = on_terminal.stdout.split("\r\x1b[K").collect();
    for part in [
        " calls, ",
        " transitions, ",
        "the last new one 1 s ago",
        "shows something new with probability 0.",
    ] {
        let told = lines.iter().any(|line| line.contains(" ago; ") && line.contains(part));
        assert!(told, "{part:?} in {lines:?}");
    }
    let ended = lab.start(Command::new(binary()).args(recording)).end().well("record");
    assert!(!ended.stderr.contains(" ago; ") && !ended.stderr.contains('\r'), "{}", ended.stderr);
}

#[test]
fn a_stream_of_policies_is_one_at_the_end() {
    let lab = Lab::new();
    let ended =
        record(&lab, &["--every", "50ms", "-o", "-", "--", "/bin/sleep", "0.4"]).well("record");
    let policy: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(policy["binary"], "/bin/sleep");
    assert!(
        ended.stderr.contains("recorded ") && ended.stderr.contains("→ stdout"),
        "{}",
        ended.stderr
    );
}
