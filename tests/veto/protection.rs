//! A watched program cannot touch the enforcer or its BPF objects, unless that is allowed.

use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use sysfsm_testing::lab::Lab;

const EPERM: &str = "1";

/// A policy under which the program may make any call: it is watched, and nothing that it does is a
/// violation.
pub fn anything(lab: &Lab, program: &Path) -> PathBuf {
    with_calls(lab, program, &[])
}

/// A policy under which the program may make any call but some.
pub fn with_calls(lab: &Lab, program: &Path, without: &[&str]) -> PathBuf {
    let calls: Vec<&str> = (0..1024)
        .filter_map(sysfsm::syscall::name)
        .filter(|name| !without.contains(name))
        .collect();
    let to = lab.fresh("policy");
    let policy = json!({"sysfsm": 1, "binary": program, "depth": 1, "transitions": {"": calls}});
    fs::write(&to, policy.to_string()).unwrap();
    to
}

/// The two words of each line.
fn words(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(' ')).collect()
}

/// Waits until the kernel has freed the BPF objects of an earlier test, which nobody protects any
/// more.
fn wait_until_there_is_no_object(lab: &Lab, free: &Path) {
    let begun = Instant::now();
    loop {
        let there = lab.run(free, &["objects"], "").well("another program").stdout;
        let there = words(&there);
        if ["programs", "maps", "links"].iter().all(|kind| there[kind] == "0") {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{there:?}");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_watched_program_cannot_touch_the_enforcer() {
    let lab = Lab::new();
    let (saboteur, free) = (lab.fixture("saboteur"), lab.fixture_as("saboteur", "free"));
    let policy = anything(&lab, &saboteur);
    wait_until_there_is_no_object(&lab, &free);
    let enforcement = lab.enforce(&[&policy], &["--require", "contain"]);
    let pid = enforcement.pid().to_string();

    let tried = lab.run(&saboteur, &["enforcer", &pid], "").well("the saboteur").stdout;
    let tried = words(&tried);
    assert_eq!(tried.len(), 11);
    assert!(tried.values().all(|&errno| errno == EPERM), "{tried:?}");
    let had = lab.run(&saboteur, &["objects"], "").well("the saboteur").stdout;
    assert_eq!(
        words(&had),
        BTreeMap::from([("programs", "0"), ("maps", "0"), ("links", "0"), ("tracing", "0")])
    );

    lab.run(&saboteur, &["input", &pid], "").well("the saboteur");

    // Who is not watched finds them all: the looks above can fail.
    let has = lab.run(&free, &["objects"], "").well("another program").stdout;
    assert!(words(&has).values().all(|&count| count != "0"), "{has}");

    // It is still there to stop.
    let report = enforcement.stop();
    assert!(report.violations.is_empty());
    assert!(report.stop["protections"].as_u64().unwrap() > 50, "{}", report.stop);
}

#[test]
fn without_self_protection_it_can() {
    let lab = Lab::new();
    let saboteur = lab.fixture("saboteur");
    let policy = anything(&lab, &saboteur);
    let enforcement = lab.enforce(
        &[&policy],
        &["--require", "contain", "--at-most", "contain", "--no-self-protect"],
    );
    let has = lab.run(&saboteur, &["objects"], "").well("the saboteur").stdout;
    assert!(words(&has).values().all(|&count| count != "0"), "{has}");
    let pid = enforcement.pid().to_string();
    let tried = lab.run(&saboteur, &["enforcer", &pid], "").well("the saboteur").stdout;
    assert_eq!((words(&tried)["sigstop"], words(&tried)["sigkill"]), ("0", "0"), "{tried}");
    assert!(enforcement.end().killed(), "nothing protects it");

    let enforcement = lab.enforce(&[&policy], &["--no-self-protect"]);
    lab.run(&saboteur, &["input", &enforcement.pid().to_string()], "").well("the saboteur");
    assert!(enforcement.end().killed(), "nothing protects it from a signal of input");
}
