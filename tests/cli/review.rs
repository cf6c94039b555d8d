//! `sysfsm review` on the command line: what it writes, what it asks, and that it never asks twice.

use serde_json::{json, Value};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use sysfsm_testing::binary;
use tempfile::TempDir;

const POLICY: &str = r#"{"sysfsm": 1, "binary": "/bin/p", "runs": 3, "action": "log", "transitions": {"execve": ["brk"]}}"#;

fn violation(context: &[&str], symbol: &str, reason: &str) -> Value {
    json!({"context": context, "symbol": symbol, "reason": reason, "count": 2,
        "first": "2026-11-23T10:00:00Z", "last": "2026-11-23T11:00:00Z", "pid": 42, "tid": 43, "comm": "p",
        "args": ["0x1", "0x2", "0x3", "0x4", "0x5", "0x6"], "ip": "0x7f01",
        "stack": [{"address": "0x7f01", "module": "/lib/libc.so.6", "symbol": "read", "offset": "0x4"},
            {"address": "0x55", "module": "/bin/p", "symbol": "main", "offset": "0x1"}]})
}

/// A folder with a policy and what was seen of it.
fn folder(violations: &[Value]) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("p.json"), POLICY).unwrap();
    let file = json!({"sysfsm_review": 1,
        "policies": [{"binary": "/bin/p", "depth": 2, "violations": violations}]});
    fs::write(dir.path().join("seen.json"), file.to_string()).unwrap();
    dir
}

fn three() -> TempDir {
    folder(&[
        violation(&["brk"], "read", "transition"),
        violation(&["brk"], "write", "transition"),
        violation(&["read"], "write", "transition"),
    ])
}

/// Runs `review seen.json --policy p.json` with more arguments, and an operator who answers.
fn review(dir: &Path, args: &[&str], answers: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(binary())
        .args(["review", "seen.json", "--policy", "p.json"])
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that asks nothing does not listen.
    let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn policy(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("p.json")).unwrap()).unwrap()
}

#[test]
fn accept_all_widens_the_policy_in_place_and_leaves_the_rest_of_it() {
    let dir = three();
    let (status, stdout, stderr) = review(dir.path(), &["--accept-all"], "");
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(stdout.lines().count(), 3);
    assert!(stdout.contains("accepted: /bin/p: brk → read"), "{stdout}");
    assert!(
        stderr.contains("3 questions: 3 accepted, 0 rejected, 0 left; 3 transitions added"),
        "{stderr}"
    );
    let wider = policy(dir.path());
    assert_eq!(wider["transitions"]["brk"]["read"], json!({"calls": 2, "runs": 1}));
    assert_eq!((&wider["runs"], &wider["action"]), (&json!(3), &json!("log")));
    assert_eq!(wider["transitions"]["execve"], json!(["brk"]));
    // Nothing is asked twice, and nothing added twice.
    let (status, stdout, stderr) = review(dir.path(), &[], "");
    assert_eq!((status, stdout.as_str()), (Some(0), ""));
    assert!(!stderr.contains("[a/w/c"), "{stderr}");
    assert_eq!(policy(dir.path()), wider);
}

/// What was seen in a cgroup widens that cgroup's policy, and no other one of the binary.
#[test]
fn each_cgroups_policy_has_its_own_violations() {
    let dir = folder(&[violation(&["brk"], "read", "transition")]);
    let mut seen: Value =
        serde_json::from_slice(&fs::read(dir.path().join("seen.json")).unwrap()).unwrap();
    let in_cgroup = json!({"binary": "/bin/p", "cgroup": "/a.slice", "depth": 2,
        "violations": [violation(&["brk"], "write", "transition")]});
    seen["policies"].as_array_mut().unwrap().push(in_cgroup);
    fs::write(dir.path().join("seen.json"), seen.to_string()).unwrap();
    let cgroups = POLICY.replace(r#""binary""#, r#""cgroup": "/a.slice", "binary""#);
    fs::write(dir.path().join("q.json"), cgroups).unwrap();
    let (status, stdout, stderr) = review(dir.path(), &["q.json", "--accept-all", "--json"], "");
    assert_eq!(status, Some(0), "{stderr}");
    let decisions: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = decisions.iter().map(|d| (&d["symbol"], &d["cgroup"])).collect();
    assert_eq!(told, [(&json!("read"), &json!(null)), (&json!("write"), &json!("/a.slice"))]);
    let of = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
    assert!(
        of("p.json").contains("\"read\"") && !of("p.json").contains("\"write\""),
        "{}",
        of("p.json")
    );
    assert!(
        of("q.json").contains("\"write\"") && !of("q.json").contains("\"read\""),
        "{}",
        of("q.json")
    );
}

#[test]
fn patterns_accept_and_reject_and_what_is_rejected_stays_so() {
    let dir = three();
    let (status, stdout, _) = review(
        dir.path(),
        &["--accept", "brk → *", "--reject", "* -> write", "-o", "wider.json"],
        "",
    );
    assert_eq!(status, Some(0));
    assert_eq!(
        stdout,
        "accepted: /bin/p: brk → read\nrejected: /bin/p: brk → write\nrejected: /bin/p: read → write\n"
    );
    assert_eq!(policy(dir.path())["transitions"], json!({"execve": ["brk"]}));
    let wider = fs::read_to_string(dir.path().join("wider.json")).unwrap();
    assert!(wider.contains("\"read\"") && !wider.contains("\"write\""), "{wider}");
    // What was accepted goes into the old one as well, without a question; what was rejected does
    // not.
    let (status, stdout, _) = review(dir.path(), &["--accept-all"], "");
    assert_eq!((status, stdout.as_str()), (Some(0), ""));
    assert!(policy(dir.path()).to_string().contains("\"read\""));
    let (status, stdout, stderr) = review(dir.path(), &["--accept-all", "--again", "--json"], "");
    assert_eq!((status, stdout.lines().count()), (Some(0), 2));
    let event: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&event["decision"], &event["symbol"]), (&json!("accepted"), &json!("write")));
    let summary: Value = serde_json::from_str(stderr.trim()).unwrap();
    assert_eq!((&summary["accepted"], &summary["open"]), (&json!(2), &json!(0)));
    let (_, _, stderr) = review(dir.path(), &["--reject", "nothing → nothing"], "");
    assert!(stderr.contains("`nothing → nothing`") && stderr.contains("hint: "), "{stderr}");
}

#[test]
fn a_call_from_anywhere_is_not_asked_about_again() {
    let dir = three();
    let (status, stdout, stderr) =
        review(dir.path(), &["--accept-all", "--accept-anywhere", "read → write"], "");
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(
        stdout,
        "accepted: /bin/p: brk → read\naccepted: /bin/p: brk → write\nanywhere: /bin/p: read → write\n"
    );
    assert!(stderr.contains("3 questions: 3 accepted"), "{stderr}");
    let wider = policy(dir.path());
    let writes = |context: &str| wider["transitions"][context]["write"].clone();
    assert_eq!(writes("brk"), json!({"calls": 2, "runs": 1}));
    assert_eq!(wider["transitions"]["execve"], json!(["brk", "write"]));
    // It is seen where the policy did not know it.
    let mut seen: Value =
        serde_json::from_slice(&fs::read(dir.path().join("seen.json")).unwrap()).unwrap();
    let violations = seen["policies"][0]["violations"].as_array_mut().unwrap();
    violations.push(violation(&["mmap"], "write", "transition"));
    fs::write(dir.path().join("seen.json"), seen.to_string()).unwrap();
    let (status, stdout, _) = review(dir.path(), &[], "");
    assert_eq!((status, stdout.as_str()), (Some(0), ""));
    assert_eq!(policy(dir.path())["transitions"]["mmap"]["write"], json!({"calls": 2, "runs": 1}));
}

#[test]
fn an_operator_answers_one_by_one_and_may_quit() {
    let dir = three();
    let (status, stdout, stderr) = review(dir.path(), &[], "r\nnonsense\ns\nq\n");
    assert_eq!((status, stdout.as_str()), (Some(1), "rejected: /bin/p: brk → read\n"), "{stderr}");
    for part in ["1 of 3", "/bin/p main+0x1", "2 times", "0x1, 0x2", "q  quit", "2 left"] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
    let (status, stdout, stderr) = review(dir.path(), &[], "m\n");
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(stdout, "accepted: /bin/p: brk → write\naccepted: /bin/p: read → write\n");
    assert!(stderr.contains("1 of 2") && !stderr.contains("2 of 2"), "{stderr}");
}

#[test]
fn what_no_policy_can_allow_is_told_until_it_is_rejected() {
    let dir = folder(&[
        violation(&["brk"], "@i386", "abi"),
        violation(&["brk"], "rt_sigreturn", "sigreturn"),
        violation(&[], "read", "transition"),
    ]);
    let (status, stdout, stderr) = review(dir.path(), &["--accept-all"], "");
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    for part in ["foreign ABI", "no", "watch the program from its start", "3 left", "hint: "] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
    assert_eq!(policy(dir.path())["transitions"], json!({"execve": ["brk"]}));
    assert_eq!(review(dir.path(), &["--reject", "* → *"], "").0, Some(0));
    assert_eq!(review(dir.path(), &["--accept-all"], "").0, Some(0));
}

#[test]
fn a_list_tells_all_and_decides_nothing() {
    let dir = three();
    let before = fs::read(dir.path().join("seen.json")).unwrap();
    let (status, stdout, _) = review(dir.path(), &["--list"], "");
    assert_eq!(status, Some(1));
    assert_eq!(stdout.matches("open: /bin/p: ").count(), 3, "{stdout}");
    let (_, stdout, _) = review(dir.path(), &["--list", "--json"], "");
    let event: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&event["state"], &event["context"], &event["count"]),
        (&json!("open"), &json!(["brk"]), &json!(2))
    );
    assert_eq!(fs::read(dir.path().join("seen.json")).unwrap(), before);
}

#[test]
fn mistakes_are_one_clear_error_with_a_hint() {
    let dir = three();
    let fails = |args: &[&str], parts: &[&str]| {
        let (status, stdout, stderr) = review(dir.path(), args, "");
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains("hint: "), "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part} in {stderr}");
        }
    };
    fails(&["--accept", "futex"], &["`futex`", "arrow"]);
    fs::write(dir.path().join("q.json"), POLICY.replace("/bin/p", "/bin/q")).unwrap();
    fails(&["--policy", "q.json", "-o", "x"], &["2 policies"]);
    let deeper = POLICY.replace("\"runs\": 3", "\"depth\": 3");
    fs::write(dir.path().join("p.json"), deeper).unwrap();
    fails(&["--accept-all"], &["seen.json", "/bin/p", "depth 2", "depth 3"]);
    fs::write(dir.path().join("p.json"), POLICY.replace("/bin/p", "/bin/other")).unwrap();
    fails(&["--accept-all"], &["seen.json", "/bin/p"]);
    fs::write(dir.path().join("p.json"), POLICY).unwrap();
    fs::write(dir.path().join("seen.json"), "{\"sysfsm_review\": 7, \"policies\": []}").unwrap();
    fails(&["--list"], &["seen.json", "version `7`"]);
    fs::remove_file(dir.path().join("seen.json")).unwrap();
    fails(&["--list"], &["seen.json", "no such file", "--learn-to"]);
}
