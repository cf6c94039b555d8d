//! The limits are those of memory: 4,096 policies, 1,000,000 transitions and 100,000 threads at
//! once. As root.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use sysfsm_testing::binary;
use sysfsm_testing::fixture;
use sysfsm_testing::lab::copy;
use sysfsm_testing::more_ids::MoreIds;
use tempfile::TempDir;

fn enforce(policies: &Path, options: &[&str], command: &[&str]) -> (Output, serde_json::Value) {
    let output = Command::new(binary())
        .args(["enforce", "--json", "--policy"])
        .arg(policies)
        .args(options)
        .arg("--")
        .args(command)
        .output()
        .expect("sysfsm runs");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stop = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|event| event["event"] == "stop")
        .unwrap_or_else(|| {
            panic!("no stop event: {stdout}{}", String::from_utf8_lossy(&output.stderr))
        })["totals"]
        .take();
    (output, stop)
}

/// Traces a command and writes its program's policy.
fn learn(dir: &Path, command: &[&str], depth: &str, policy: &Path) {
    let log = dir.join("log");
    let traced = Command::new("strace")
        .arg("-f")
        .arg("-o")
        .arg(&log)
        .args(command)
        .output()
        .expect("strace runs");
    assert!(traced.status.success(), "{traced:?}");
    let output = Command::new(binary())
        .arg("extract")
        .arg(&log)
        .args(["--binary", command[0], "--depth", depth, "-o"])
        .arg(policy)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn copied(from: &Path, to: &Path) -> String {
    copy(from, to);
    to.display().to_string()
}

#[test]
fn four_thousand_policies() {
    let dir = TempDir::new().unwrap();
    let policies = dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    let last = copied(Path::new("/bin/true"), &dir.path().join("last"));
    learn(dir.path(), &[&last], "2", &policies.join("last.json"));
    let text = fs::read_to_string(policies.join("last.json")).unwrap();
    for i in 0..4095 {
        let binary = dir.path().join(format!("program-{i}"));
        fs::write(&binary, [0x7f]).unwrap();
        let policy = text.replace(&last, &binary.display().to_string());
        fs::write(policies.join(format!("{i}.json")), policy).unwrap();
    }
    let (output, stop) = enforce(&policies, &[], &[&last]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stop["judged"].as_u64() > Some(10) && stop["violations"] == 0, "{stop}");
    let (output, stop) = enforce(&policies, &[], &[&last, "--help"]);
    assert_eq!((output.status.code(), &stop["kills"]), (Some(137), &1.into()), "{stop}");
}

#[test]
fn a_million_transitions() {
    let dir = TempDir::new().unwrap();
    let program = copied(Path::new("/bin/true"), &dir.path().join("program"));
    let policy = dir.path().join("policy.json");
    learn(dir.path(), &[&program], "8", &policy);
    // The learned ones, and a million more from contexts that do not occur.
    let names: Vec<String> = (500..1000).map(|n| format!("syscall_{n}")).collect();
    let mut more = String::new();
    let row = (0..50).map(|i| format!("\"{}\"", names[i * 10])).collect::<Vec<_>>().join(",");
    for i in 0..20_000 {
        let _ = write!(
            more,
            "\"{} {} {}\": [{row}],",
            names[i % 500],
            names[i / 500 % 500],
            names[(i * 7 + 3) % 500]
        );
    }
    let text = fs::read_to_string(&policy).unwrap();
    let text = text.replace("\"transitions\": {", &format!("\"transitions\": {{{more}"));
    fs::write(&policy, text).unwrap();
    let (output, stop) = enforce(&policy, &[], &[&program]);
    let start: serde_json::Value =
        serde_json::from_str(String::from_utf8_lossy(&output.stdout).lines().next().unwrap())
            .unwrap();
    assert!(start["transitions"].as_u64() >= Some(900_000), "{start}");
    assert!(
        output.status.success() && stop["violations"] == 0 && stop["judged"].as_u64() > Some(10),
        "{stop}"
    );
    let (output, stop) = enforce(&policy, &[], &[&program, "--help"]);
    assert_eq!((output.status.code(), &stop["kills"]), (Some(137), &1.into()), "{stop}");
}

#[test]
fn a_hundred_thousand_threads_at_once() {
    const THREADS: usize = 100_000;
    let _more = MoreIds::at_least(200_000);
    let dir = TempDir::new().unwrap();
    let crowd = fixture("crowd");
    let crowd = copied(&crowd, &dir.path().join("crowd"));
    let policy = dir.path().join("policy.json");
    // Whether a thread or its creator comes first is chance; which calls they make is not.
    learn(dir.path(), &[&crowd, "3", "20"], "1", &policy);
    let run = |options: &[&str], mode: &[&str]| {
        let command = [&[crowd.as_str(), "10", "10000"], mode].concat();
        let (output, stop) = enforce(&policy, options, &command);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && stdout.contains("100000 threads"), "{stop}");
        assert_eq!(stop["threads_refused"], 0, "{stop}");
        // Each thread's own calls, and the calls that made it.
        assert!(stop["judged"].as_u64() > Some(600_000), "{stop}");
        (stdout, stop)
    };
    // They live under a policy that kills.
    let (_, stop) = run(&[], &[]);
    assert_eq!(stop["violations"], 0);
    // And each is seen when it makes a call of its own: reported one by one while there is room for
    // that, else by number.
    let (stdout, stop) = run(&["--log-only"], &["stray"]);
    assert_eq!(stop["violations"], THREADS, "{stop}");
    let events: Vec<serde_json::Value> = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|event| event["symbol"] == "getppid")
        .collect();
    let strays: HashSet<u64> = events.iter().filter_map(|event| event["tid"].as_u64()).collect();
    let by_number: u64 = events.iter().filter_map(|event| event["count"].as_u64()).sum();
    assert_eq!(strays.len() as u64 + by_number, THREADS as u64, "{stop}");
    assert!(strays.len() > THREADS / 4, "{} one by one, {by_number} by their number", strays.len());
}
