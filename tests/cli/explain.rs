//! `explain`: from a violation to plain words, and to the line that allows it.

use serde_json::{json, Value};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use sysfsm_testing::binary;
use sysfsm_testing::command::text;
use tempfile::TempDir;

const LOG: &str = "\
execve(\"/usr/bin/prog\", [\"prog\"], 0x7ffd /* 8 vars */) = 0
brk(NULL) = 0x55
openat(AT_FDCWD, \"/etc/x\", O_RDONLY) = -1 ENOENT (No such file or directory)
socket(AF_UNIX, SOCK_STREAM, 0) = 3
write(1, \"hi\\n\", 3) = 3
exit_group(0) = ?
+++ exited with 0 +++
";

/// The program of `LOG`, which makes its socket too early.
const ATTACK: &str = "\
execve(\"/usr/bin/prog\", [\"prog\"], 0x7ffd /* 8 vars */) = 0
brk(NULL) = 0x55
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
write(3, \"id\\n\", 3) = 3
exit_group(0) = ?
+++ exited with 0 +++
";

/// As `enforce --json` printed it, but for the binary and the context.
const LINE: &str = r#"{"event":"violation","time":"2026-11-23T13:19:58.673899891Z","reason":"transition","action":"kill","policy":"/usr/bin/prog","pid":23178,"tid":23178,"comm":"prog","context":["brk"],"symbol":"socket","args":["0x2","0x80001","0x0","0x8","0x0","0x0"],"ip":"0x7f1ca7381dd4"}"#;

fn sysfsm(dir: &Path, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary())
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // A command that does not read its stdin may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A folder with both logs and a policy of the first.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("good.log"), LOG).unwrap();
    fs::write(dir.path().join("attack.log"), ATTACK).unwrap();
    assert!(sysfsm(dir.path(), &["extract", "good.log", "-o", "p.json"], "").status.success());
    dir
}

fn explained(dir: &Path, args: &[&str], input: &str) -> String {
    let output = sysfsm(dir, args, input);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Of several policies for the binary it is the one that judged.
#[test]
fn a_cgroups_violation_is_of_the_cgroups_policy() {
    let dir = folder();
    let policy = fs::read_to_string(dir.path().join("p.json")).unwrap();
    let cgroups = policy.replacen("\"binary\"", "\"cgroup\": \"/a.slice\", \"binary\"", 1);
    fs::write(dir.path().join("a.json"), cgroups).unwrap();
    let policies = ["--policy", "a.json", "--policy", "p.json"];
    let file = |line: &str| {
        let told =
            explained(dir.path(), &[&["explain", "--json"], &policies[..], &[line]].concat(), "");
        serde_json::from_str::<Value>(&told).unwrap()["policy_file"].as_str().unwrap().to_string()
    };
    let in_cgroup = LINE.replacen("\"policy\"", "\"cgroup\":\"/a.slice\",\"policy\"", 1);
    assert_eq!((file(LINE), file(&in_cgroup)), ("p.json".into(), "a.json".into()));
    let elsewhere = in_cgroup.replace("/a.slice", "/b.slice");
    let output = sysfsm(dir.path(), &[&["explain"], &policies[..], &[&elsewhere]].concat(), "");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("`/usr/bin/prog in /b.slice`"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_violation_is_told_in_words() {
    let dir = folder();
    let told = explained(dir.path(), &["explain", "--policy", "p.json", LINE], "");
    assert_eq!(
        told,
        "\
/usr/bin/prog, pid 23178 (prog), 2026-11-23T13:19:58.673899891Z: it was killed.
It had last called `brk` (grow or shrink the heap).
Then it tried `socket` (make a socket) with domain=0x2 AF_INET, type=0x80001 SOCK_STREAM|SOCK_CLOEXEC, protocol=0x0.
From there the policy knows 1 way on, seen 1 time in 1 of 1 run:
  → openat  1 call in 1 run
The policy has `socket` elsewhere, from 1 context:
  openat → socket  1 call in 1 run
To allow it, put into \"transitions\" of p.json, beside what \"brk\" has already:
  \"brk\": {\"socket\": {\"calls\": 0, \"runs\": 0}}
"
    );
}

#[test]
fn a_line_a_file_and_stdin_say_the_same_and_json_is_one_object_a_line() {
    let dir = folder();
    let stream = format!(
        "{{\"event\":\"start\",\"level\":\"kill\"}}\n{LINE}\n\n{LINE}\n{{\"event\":\"stop\"}}\n"
    );
    fs::write(dir.path().join("events"), &stream).unwrap();
    let one = explained(dir.path(), &["explain", "--policy", "p.json", LINE], "");
    let both = format!("{one}\n{one}");
    assert_eq!(explained(dir.path(), &["explain", "--policy", "p.json", "events"], ""), both);
    assert_eq!(explained(dir.path(), &["explain", "--policy", "p.json"], &stream), both);
    assert_eq!(
        explained(dir.path(), &["explain", "--policy", ".", "-"], &stream)
            .matches("p.json")
            .count(),
        2
    );
    let lines = explained(dir.path(), &["explain", "--json", "--policy", "p.json", "-"], &stream);
    let lines: Vec<Value> =
        lines.lines().map(|l| serde_json::from_str(l).expect("one object a line")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["tried"], json!({"symbol": "socket", "words": "make a socket"}));
    assert_eq!(lines[0]["args"][0], json!({"name": "domain", "value": "0x2", "means": "AF_INET"}));
    assert_eq!(lines[0]["elsewhere"], json!([{"context": ["openat"], "calls": 1, "runs": 1}]));
    assert_eq!(lines[0]["seen"], json!({"calls": 1, "runs": 1}));
}

#[test]
fn a_violation_is_found_by_its_id() {
    let dir = folder();
    let named = |id: &str, line: &str| {
        line.replace("\"event\":\"violation\"", &format!("\"event\":\"violation\",\"id\":\"{id}\""))
    };
    let other = LINE.replace("23178", "23179");
    fs::write(
        dir.path().join("events"),
        [named("0123456789ab", LINE), named("ba9876543210", &other)].join("\n"),
    )
    .unwrap();
    for (id, line) in [("0123456789ab", LINE), ("ba9876543210", &other)] {
        let by_id =
            explained(dir.path(), &["explain", id, "--events", "events", "--policy", "p.json"], "");
        assert_eq!(by_id, explained(dir.path(), &["explain", "--policy", "p.json", line], ""));
    }
    let unknown = ["explain", "000000000000", "--events", "events", "--policy", "p.json"];
    let output = sysfsm(dir.path(), &unknown, "");
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("no violation with the id `000000000000` in `events`"), "{stderr}");
}

#[test]
fn the_lines_that_it_tells_make_check_content() {
    let dir = folder();
    let check = || sysfsm(dir.path(), &["check", "--json", "--policy", "p.json", "attack.log"], "");
    let found = check();
    assert_eq!(found.status.code(), Some(1));
    let told =
        explained(dir.path(), &["explain", "--json", "--policy", "p.json"], &text(&found.stdout));
    let path = dir.path().join("p.json");
    let mut policy: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    for explanation in told.lines() {
        let explanation: Value = serde_json::from_str(explanation).unwrap();
        let line = explanation["allow"]["line"].as_str().unwrap();
        let entry: Value = serde_json::from_str(&format!("{{{line}}}")).unwrap();
        for (context, row) in entry.as_object().unwrap() {
            let rows = policy["transitions"].as_object_mut().unwrap();
            match rows.get_mut(context).and_then(Value::as_object_mut) {
                Some(there) => there.extend(row.as_object().unwrap().clone()),
                None => drop(rows.insert(context.clone(), row.clone())),
            }
        }
    }
    fs::write(&path, policy.to_string()).unwrap();
    let after = check();
    assert_eq!(
        (after.status.code(), text(&after.stdout).as_str()),
        (Some(0), ""),
        "{}",
        text(&after.stderr)
    );
    let again = explained(dir.path(), &["explain", "--policy", "p.json"], &text(&found.stdout));
    assert!(again.contains("p.json allows it") && !again.contains("To allow it"), "{again}");
}

#[test]
fn what_cannot_be_allowed_and_what_is_not_known_is_told_so() {
    let dir = folder();
    let told = |line: &str| explained(dir.path(), &["explain", "--policy", "p.json", line], "");
    let abi =
        LINE.replace("\"transition\"", "\"abi\"").replace("\"socket\"", "\"@i386\",\"number\":11");
    assert!(told(&abi).contains("tried to make call 11 of the 32-bit ABI.\n"), "{}", told(&abi));
    assert!(told(&abi).contains("No policy can allow it"));
    let stray =
        LINE.replace("\"transition\"", "\"sigreturn\"").replace("\"socket\"", "\"rt_sigreturn\"");
    assert!(told(&stray).contains("no signal handler was active"), "{}", told(&stray));
    let lost = LINE.replace("[\"brk\"]", "[]").replace("\"socket\"", "\"ptrace\"");
    assert!(
        told(&lost).contains("not known") && told(&lost).contains("not among them"),
        "{}",
        told(&lost)
    );
    let handler = LINE.replace("[\"brk\"]", "[\"@SIGUSR1\"]");
    assert!(
        told(&handler).contains("A handler of SIGUSR1 had just begun.\n"),
        "{}",
        told(&handler)
    );
    assert!(
        told(&handler).contains("which has no \"@SIGUSR1\" yet:\n  \"@SIGUSR1\": [\"socket\"]\n")
    );
    let start = LINE.replace("[\"brk\"]", "[\"execve\"]").replace("\"socket\"", "\"ptrace\"");
    assert!(told(&start).contains("`execve` (its own start"), "{}", told(&start));
    assert!(
        told(&start).contains("From `ptrace` there the policy knows no way on"),
        "{}",
        told(&start)
    );
}

#[test]
fn what_is_no_violation_of_the_policy_is_an_error() {
    let dir = folder();
    fs::write(dir.path().join("prose"), format!("{LINE}\nprog: killed\n")).unwrap();
    fs::write(dir.path().join("empty"), "\n").unwrap();
    let deep = LINE.replace("[\"brk\"]", "[\"execve\",\"brk\"]");
    let other = LINE.replace("/usr/bin/prog", "/usr/bin/other");
    let odd = LINE.replace("\"socket\"", "\"frobnicate\"");
    for (args, parts) in [
        (&["--policy", "p.json", "prose"][..], &["prose:2: not JSON", "--json"][..]),
        (&["--policy", "p.json", "empty"], &["no violation in `empty`"]),
        (&["--policy", "p.json", "none"], &["`none`", "No such file"]),
        (&["--policy", "p.json", "{\"event\":\"start\"}"], &["the argument: a `start` event"]),
        (&["--policy", "p.json", "{\"binary\":\"x\"}"], &["no event of sysfsm"]),
        (&["--policy", "p.json", &other], &["`/usr/bin/other`", "`/usr/bin/prog`"]),
        (&["--policy", "p.json", &deep], &["p.json", "2 symbols", "depth is 2"]),
        (&["--policy", "p.json", &odd], &["`frobnicate`"]),
        (&["--policy", "none.json", LINE], &["none.json"]),
        (&["--policy", "-", "-"], &["both"]),
    ] {
        let mut all = vec!["explain"];
        all.extend(args);
        let output = sysfsm(dir.path(), &all, "");
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?} {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains("\nhint: "), "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part:?} in {stderr}");
        }
    }
    assert_eq!(
        sysfsm(dir.path(), &["explain", LINE], "").status.code(),
        Some(2),
        "without a policy"
    );
}
