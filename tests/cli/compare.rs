//! `merge`, `diff` and the coverage that goes with them, from the command line.

use serde_json::{json, Value};
use std::fs;
use std::path::Path;
use sysfsm_testing::command::{fails, sysfsm, text};
use tempfile::TempDir;

/// A log of one run that makes these calls.
fn log(binary: &str, calls: &[&str]) -> String {
    let exec = format!("execve(\"{binary}\", [\"x\"], 0x7ffd /* 8 vars */)");
    let calls: Vec<String> = calls.iter().map(|c| format!("{c}(0)")).collect();
    format!("{exec} = 0\n{} = 0\nexit_group(0) = ?\n+++ exited with 0 +++\n", calls.join(" = 0\n"))
}

/// Three logs of one program, one of another, and a policy of each.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    let logs = [
        ("a", log("/bin/x", &["brk", "read", "close"])),
        ("b", log("/bin/x", &["brk", "write", "close"])),
        ("c", log("/bin/x", &["brk", "read", "close", "brk", "read"])),
        ("y", log("/bin/y", &["brk", "read"])),
    ];
    for (name, log) in logs {
        fs::write(dir.path().join(format!("{name}.log")), log).unwrap();
        let output =
            sysfsm(dir.path(), &["extract", &format!("{name}.log"), "-o", &format!("{name}.json")]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    dir
}

fn policy(dir: &Path, name: &str, rest: &str) {
    let policy = format!(r#"{{"sysfsm": 1, "binary": "/bin/x", {rest}}}"#);
    fs::write(dir.join(name), policy).unwrap();
}

#[test]
fn merge_gives_what_one_extract_of_all_logs_gives_in_any_order() {
    let dir = folder();
    let dir = dir.path();
    let whole = text(&sysfsm(dir, &["extract", "a.log", "b.log", "c.log", "-o", "-"]).stdout);
    for order in [
        ["a.json", "b.json", "c.json"],
        ["c.json", "a.json", "b.json"],
        ["b.json", "c.json", "a.json"],
    ] {
        let merged = sysfsm(dir, &[&["merge"], &order[..]].concat());
        assert_eq!(text(&merged.stdout), whole, "{order:?}");
    }
    // Over one of its parts, which is read before it is replaced.
    assert!(sysfsm(dir, &["merge", "a.json", "b.json", "c.json", "-o", "a.json"]).status.success());
    assert_eq!(fs::read_to_string(dir.join("a.json")).unwrap(), whole);
    // One policy is only written anew.
    assert_eq!(text(&sysfsm(dir, &["merge", "a.json"]).stdout), whole);
}

#[test]
fn merge_of_directories_writes_one_policy_for_each_binary() {
    let dir = folder();
    let dir = dir.path();
    for (part, names) in [("one", &["a", "y"][..]), ("two", &["b", "c"])] {
        fs::create_dir(dir.join(part)).unwrap();
        for name in names {
            fs::rename(
                dir.join(format!("{name}.json")),
                dir.join(part).join(format!("{name}.json")),
            )
            .unwrap();
        }
    }
    fails(
        &sysfsm(dir, &["merge", "one", "two", "-o", "all.json"]),
        &["`/bin/x`, `/bin/y`", "all.json", "DIR/"],
    );
    assert!(!dir.join("all.json").exists());
    let output = sysfsm(dir, &["merge", "one", "two", "-o", "all/", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stderr).expect("one object");
    assert_eq!(
        (&report["given"], &report["policies"][0]["policy_file"]),
        (&json!(4), &json!("all/x.json"))
    );
    assert_eq!(report["policies"][0]["coverage"]["runs"], 3);
    let y = text(&sysfsm(dir, &["extract", "y.log"]).stdout);
    assert_eq!(fs::read_to_string(dir.join("all/y.json")).unwrap(), y);
}

#[test]
fn what_does_not_merge_is_an_error_that_names_both_values() {
    let dir = folder();
    let dir = dir.path();
    let rest = r#""transitions": {"execve": ["brk"]}"#;
    policy(dir, "deep.json", &format!(r#""depth": 3, {rest}"#));
    policy(dir, "log.json", &format!(r#""action": "log", {rest}"#));
    policy(dir, "inherit.json", &format!(r#""children": "inherit", {rest}"#));
    let merged = |other| sysfsm(dir, &["merge", "a.json", other, "-o", "x.json"]);
    fails(
        &merged("deep.json"),
        &["/bin/x", "a.json", "deep.json", "depth `2` and depth `3`", "--depth"],
    );
    fails(&merged("log.json"), &["action `kill` and action `log`"]);
    fails(&merged("inherit.json"), &["children `release` and children `inherit`"]);
    fails(&merged("./a.json"), &["./a.json", "twice"]);
    fails(&merged("missing.json"), &["missing.json"]);
    fails(&merged("a.log"), &["a.log", "not JSON"]);
    assert!(!dir.join("x.json").exists(), "nothing is half-written");
}

#[test]
fn diff_lists_what_is_gained_and_lost_by_binary_and_context() {
    let dir = folder();
    let dir = dir.path();
    let same = sysfsm(dir, &["diff", "a.json", "a.json"]);
    assert_eq!((same.status.code(), text(&same.stdout).as_str()), (Some(0), ""));
    let output = sysfsm(dir, &["diff", "a.json", "b.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "/bin/x\n  brk\n    + write\n    - read\n  read\n    - close\n  write\n    + close\n"
    );
    let output = sysfsm(dir, &["diff", "--json", "a.json", "b.json"]);
    let lines: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|l| serde_json::from_str(l).expect("one object a line"))
        .collect();
    let gained = json!({"event": "difference", "change": "gained", "policy": "/bin/x", "context": ["brk"], "symbol": "write", "widens": true});
    let lost = json!({"event": "difference", "change": "lost", "policy": "/bin/x", "context": ["brk"], "symbol": "read", "widens": false});
    assert!(lines.len() == 4 && lines.contains(&gained) && lines.contains(&lost), "{lines:#?}");
    fails(&sysfsm(dir, &["diff", "a.json", "missing.json"]), &["missing.json"]);
}

#[test]
fn diff_check_is_a_gate_that_only_more_fails() {
    let dir = folder();
    let dir = dir.path();
    let check = |a: &str, b: &str| {
        let output = sysfsm(dir, &["diff", "--check", a, b]);
        (output.status.code().unwrap(), text(&output.stdout))
    };
    sysfsm(dir, &["merge", "a.json", "b.json", "-o", "both.json"]);
    // Fewer transitions, other counts.
    assert_eq!(check("both.json", "a.json"), (0, String::new()));
    assert_eq!(
        check("a.json", "both.json"),
        (1, "/bin/x\n  brk\n    + write\n  write\n    + close\n".into())
    );
    let base = r#""transitions": {"execve": ["brk"], "brk": ["read"]}"#;
    policy(dir, "kill.json", base);
    policy(dir, "deny.json", &format!(r#""action": "deny", {base}"#));
    policy(dir, "log.json", &format!(r#""action": "log", {base}"#));
    policy(dir, "inherit.json", &format!(r#""children": "inherit", {base}"#));
    policy(
        dir,
        "exit.json",
        r#""transitions": {"execve": ["brk"], "brk": ["read", "exit_group"]}"#,
    );
    policy(
        dir,
        "deep.json",
        r#""depth": 3, "transitions": {"execve": ["brk"], "execve brk": ["read"]}"#,
    );
    for (a, b) in
        [("kill", "deny"), ("deny", "log"), ("kill", "log"), ("inherit", "kill"), ("deep", "kill")]
    {
        let (a, b) = (format!("{a}.json"), format!("{b}.json"));
        assert_eq!((check(&a, &b).0, check(&b, &a)), (1, (0, String::new())), "{a} {b}");
    }
    assert_eq!(check("kill.json", "exit.json").0, 0, "an exit is always allowed");
    // A binary on one side only is held by nothing on the other, or by what nobody has agreed to.
    for (a, b, side) in [("a.json", "y.json", "only in B"), ("y.json", "a.json", "only in A")] {
        let (status, text) = check(a, b);
        assert!(status == 1 && text.contains(side), "{text}");
    }
}

#[test]
fn coverage_is_told_wherever_a_policy_is_made_or_shown() {
    let dir = folder();
    let dir = dir.path();
    let untold = text(&sysfsm(dir, &["extract", "a.log", "-o", "x.json"]).stderr);
    assert!(untold.contains("coverage: 1 run; how complete it is cannot be estimated"), "{untold}");
    let logs = ["extract", "a.log", "b.log", "c.log", "-o", "x.json"];
    let told =
        "3 runs, 4 of 8 transitions seen in one run only; the next run shows something new with probability ";
    let extract = text(&sysfsm(dir, &logs).stderr);
    let merge = text(&sysfsm(dir, &["merge", "a.json", "b.json", "c.json"]).stderr);
    let show = text(&sysfsm(dir, &["show", "x.json"]).stdout);
    for (output, name) in [(extract, "coverage: "), (merge, "coverage: "), (show, "coverage     ")]
    {
        assert!(
            output.contains(&format!("{name}{told}")) && output.contains(" (95%: 0."),
            "{output}"
        );
    }
    let report: Value =
        serde_json::from_slice(&sysfsm(dir, &[&logs[..], &["--json"]].concat()).stderr)
            .expect("one object");
    let coverage = &report["policies"][0]["coverage"];
    assert_eq!(
        (&coverage["runs"], &coverage["seen_once"], &coverage["novelty"]["confidence"]),
        (&json!(3), &json!(4), &json!(0.95))
    );
    // The policy on stdout stays a policy.
    let shown = sysfsm(dir, &["show", "--json", "x.json"]);
    let event: Value = serde_json::from_slice(&shown.stderr).expect("one object");
    assert_eq!((&event["event"], &event["coverage"]), (&json!("coverage"), coverage));
    fs::write(dir.join("again.json"), &shown.stdout).unwrap();
    assert_eq!(sysfsm(dir, &["diff", "x.json", "again.json"]).status.code(), Some(0));
    let one = sysfsm(dir, &["show", "--json", "a.json"]);
    let event: Value = serde_json::from_slice(&one.stderr).expect("one object");
    assert_eq!(event["coverage"]["novelty"], Value::Null);
    assert!(
        event["coverage"]["no_novelty"].as_str().is_some_and(|u| u.contains("two runs")),
        "{event}"
    );
}
