//! The command line: exit status, what goes to stdout and what to stderr, and that bad input is one
//! clear error with a hint.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use sysfsm_testing::binary;
use sysfsm_testing::command::{fails, sysfsm, text};
use tempfile::TempDir;

const LOG: &str = "\
execve(\"/usr/bin/prog\", [\"prog\"], 0x7ffd /* 8 vars */) = 0
brk(NULL) = 0x55
openat(AT_FDCWD, \"/etc/x\", O_RDONLY) = -1 ENOENT (No such file or directory)
write(1, \"hi\\n\", 3) = 3
exit_group(0) = ?
+++ exited with 0 +++
";

/// The program of `LOG`, and a call that it never made.
const ATTACK: &str = "\
execve(\"/usr/bin/prog\", [\"prog\"], 0x7ffd /* 8 vars */) = 0
brk(NULL) = 0x55
socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3
exit_group(0) = ?
+++ exited with 0 +++
";

fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("good.log"), LOG).unwrap();
    fs::write(dir.path().join("attack.log"), ATTACK).unwrap();
    dir
}

#[test]
fn extract_writes_the_policy_and_says_what_it_read() {
    let dir = folder();
    let output = sysfsm(dir.path(), &["extract", "good.log", "-o", "policy.json"]);
    assert!(output.status.success() && output.stdout.is_empty());
    let stderr = text(&output.stderr);
    for part in [
        "6 lines",
        "5 calls",
        "1 thread",
        "1 run",
        "1 binary",
        "/usr/bin/prog",
        "4 states",
        "4 transitions",
    ] {
        assert!(stderr.contains(part), "{part:?} in {stderr}");
    }
    let written = fs::read_to_string(dir.path().join("policy.json")).unwrap();
    let stdout = text(&sysfsm(dir.path(), &["extract", "good.log", "-o", "-"]).stdout);
    assert_eq!(stdout, written);
    let shown = text(&sysfsm(dir.path(), &["show", "policy.json"]).stdout);
    assert!(shown.contains("/usr/bin/prog") && shown.contains("→ openat"), "{shown}");
}

#[test]
fn extract_reads_stdin_directories_of_output_and_reports_as_json() {
    let dir = folder();
    let mut child = Command::new(binary())
        .args(["extract", "-", "-o", "out/", "--json", "--depth", "3"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(LOG.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one object");
    assert_eq!((&report["calls"], &report["policies"][0]["depth"]), (&5.into(), &3.into()));
    assert!(dir.path().join("out/prog.json").exists());
}

#[test]
fn check_tells_a_violation_by_file_and_line_and_by_its_status() {
    let dir = folder();
    sysfsm(dir.path(), &["extract", "good.log", "-o", "p.json"]);
    let good = sysfsm(dir.path(), &["check", "--policy", "p.json", "good.log"]);
    assert_eq!((good.status.code(), text(&good.stdout).as_str()), (Some(0), ""));
    let bad = sysfsm(dir.path(), &["check", "--policy", "p.json", "good.log", "attack.log"]);
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(
        text(&bad.stdout),
        "attack.log:3: /usr/bin/prog: `socket` after `brk` is not in the policy\n"
    );
    let json = sysfsm(dir.path(), &["check", "--json", "--policy", "p.json", "attack.log"]);
    let event: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one object a line");
    assert_eq!(
        event,
        serde_json::json!({"event": "violation", "reason": "transition", "action": "kill", "policy": "/usr/bin/prog",
            "context": ["brk"], "symbol": "socket", "file": "attack.log", "line": 3})
    );
}

#[test]
fn a_check_that_checks_nothing_is_an_error() {
    let dir = folder();
    sysfsm(dir.path(), &["extract", "good.log", "-o", "p.json"]);
    fs::write(dir.path().join("other.log"), LOG.replace("/usr/bin/prog", "/usr/bin/other"))
        .unwrap();
    let output = sysfsm(dir.path(), &["check", "--policy", "p.json", "other.log"]);
    fails(&output, &["nothing was checked", "/usr/bin/prog", "/usr/bin/other"]);
}

#[test]
fn bad_logs_are_errors() {
    let dir = folder();
    fs::write(dir.path().join("empty"), "").unwrap();
    fs::write(dir.path().join("prose"), "Dear diary,\nnothing happened today.\n").unwrap();
    fs::write(dir.path().join("binary"), (0..=255_u8).cycle().take(100_000).collect::<Vec<_>>())
        .unwrap();
    fs::write(dir.path().join("attached"), "read(0, \"\", 1) = 0\nwrite(1, \"\", 1) = 1\n")
        .unwrap();
    fails(&sysfsm(dir.path(), &["extract", "missing", "-o", "x"]), &["missing", "no such file"]);
    fails(&sysfsm(dir.path(), &["extract", ".", "-o", "x"]), &["`.`", "directory"]);
    fails(&sysfsm(dir.path(), &["extract", "empty", "-o", "x"]), &["empty: no system call"]);
    fails(&sysfsm(dir.path(), &["extract", "prose", "-o", "x"]), &["prose: no system call"]);
    fails(&sysfsm(dir.path(), &["extract", "binary", "-o", "x"]), &["binary: no system call"]);
    fails(
        &sysfsm(dir.path(), &["extract", "attached", "-o", "x"]),
        &["no successful exec", "--binary"],
    );
    fails(
        &sysfsm(dir.path(), &["extract", "good.log", "--binary", "/bin/none", "-o", "x"]),
        &["/bin/none", "/usr/bin/prog"],
    );
    fails(
        &sysfsm(dir.path(), &["extract", "good.log", "-o", "no/such/folder/x"]),
        &["no/such/folder/x"],
    );
    assert!(!dir.path().join("x").exists(), "nothing is half-written");
    // Of several logs the warning says which one it means.
    let output = sysfsm(dir.path(), &["extract", "good.log", "empty", "-o", "x"]);
    assert!(
        text(&output.stderr).contains("warning: empty: no system call"),
        "{}",
        text(&output.stderr)
    );
    // Whoever names the binary knows whose calls they are.
    let output = sysfsm(dir.path(), &["extract", "attached", "--binary", "/bin/cat", "-o", "x"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!text(&output.stderr).contains("warning"), "{}", text(&output.stderr));
}

#[test]
fn an_exec_that_does_not_name_its_binary_makes_no_policy() {
    let dir = folder();
    let nameless = LOG.replace("execve(\"/usr/bin/prog\"", "execve(0x7ffd00001000");
    fs::write(dir.path().join("nameless.log"), &nameless).unwrap();
    let output = sysfsm(dir.path(), &["extract", "nameless.log", "-o", "policies/"]);
    fails(&output, &["1 exec does not say of which binary", "-e raw=execve"]);
    fs::write(dir.path().join("both.log"), LOG.to_owned() + &nameless).unwrap();
    let output = sysfsm(dir.path(), &["extract", "both.log", "-o", "policies/"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("warning: 1 exec does not say of which binary"));
    let written: Vec<_> = fs::read_dir(dir.path().join("policies"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(written, ["prog.json"]);
}

#[test]
fn handlers_of_a_program_that_is_not_known_are_not_counted_as_too_deep() {
    let dir = folder();
    let handled = "--- SIGCHLD {si_signo=SIGCHLD} ---\ngetpid() = 7\nrt_sigreturn({mask=[]}) = 0\n";
    fs::write(dir.path().join("attached.log"), handled.repeat(40) + LOG).unwrap();
    let output = sysfsm(dir.path(), &["extract", "attached.log", "--json", "-o", "p.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("\"frames_dropped\":0"), "{}", text(&output.stderr));
}

#[test]
fn strict_makes_a_line_that_fits_nothing_an_error() {
    let dir = folder();
    fs::write(dir.path().join("noisy.log"), format!("{LOG}what is this line\n")).unwrap();
    let lax = sysfsm(dir.path(), &["extract", "noisy.log", "-o", "x.json"]);
    assert!(lax.status.success());
    assert!(text(&lax.stderr).contains("noisy.log:7"), "{}", text(&lax.stderr));
    fails(
        &sysfsm(dir.path(), &["extract", "noisy.log", "--strict", "-o", "y.json"]),
        &["noisy.log:7", "--strict"],
    );
    assert!(!dir.path().join("y.json").exists());
    assert!(sysfsm(dir.path(), &["extract", "good.log", "--strict", "-o", "y.json"])
        .status
        .success());
}

#[test]
fn a_cut_log_gives_what_it_has() {
    let dir = folder();
    for cut in 0..LOG.len() {
        fs::write(dir.path().join("cut.log"), &LOG[..cut]).unwrap();
        let output = sysfsm(dir.path(), &["extract", "cut.log", "-o", "cut.json"]);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 2)), "cut at {cut}: {code:?} {}", text(&output.stderr));
    }
}

#[test]
fn all_errors_of_a_directory_come_in_one_go() {
    let dir = folder();
    let policies = dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    let write = |name: &str, text: &str| fs::write(policies.join(name), text).unwrap();
    write(
        "a.json",
        "{\"sysfsm\": 1, \"binary\": \"/a\", \"transitions\": {\"execve\": [\"opnat\"]}}",
    );
    write("b.json", "{\"sysfsm\": 2, \"binary\": \"/b\", \"transitions\": {}}");
    write("c.json", "{");
    write("d.json", "{\"sysfsm\": 1, \"binary\": \"/d\", \"transitions\": {}}");
    write("e.json", "{\"sysfsm\": 1, \"binary\": \"/d\", \"transitions\": {}}");
    write("README.md", "not a policy, and not read as one");
    let output = sysfsm(dir.path(), &["check", "--policy", "policies", "good.log"]);
    fails(
        &output,
        &[
            "a.json",
            "opnat",
            "did you mean `openat`?",
            "b.json",
            "`2`",
            "c.json",
            "not JSON",
            "two policies for `/d`",
        ],
    );
    fails(&sysfsm(dir.path(), &["show", "nowhere"]), &["nowhere"]);
    fs::create_dir(dir.path().join("none")).unwrap();
    fails(&sysfsm(dir.path(), &["show", "none"]), &["no policy in the directory"]);
}

#[test]
fn usage_errors_are_status_two() {
    let dir = folder();
    for args in [
        &["extract"][..],
        &["extract", "good.log", "--depth", "9"],
        &["extract", "good.log", "--depth", "0"],
        &["frobnicate"],
        &["check", "good.log"],
    ] {
        assert_eq!(sysfsm(dir.path(), args).status.code(), Some(2), "{args:?}");
    }
    assert!(sysfsm(dir.path(), &["--help"]).status.success());
}

#[test]
fn a_policy_that_allows_io_uring_is_warned_of_wherever_it_is_read() {
    let dir = folder();
    fs::write(dir.path().join("ring.log"), LOG.replace("brk(NULL)", "io_uring_setup(8, 0x7f)"))
        .unwrap();
    let extract = sysfsm(dir.path(), &["extract", "ring.log", "-o", "ring.json"]);
    let show = sysfsm(dir.path(), &["show", "ring.json"]);
    let check = sysfsm(dir.path(), &["check", "--policy", "ring.json", "ring.log"]);
    for output in [extract, show, check] {
        assert!(output.status.success());
        assert!(text(&output.stderr).contains("io_uring"), "{}", text(&output.stderr));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = folder();
    let long: Vec<String> = (0..20_000).map(|i| format!("syscall_{}(0) = 0\n", 1000 + i)).collect();
    let long = long.concat();
    fs::write(dir.path().join("long.log"), LOG.replace("exit_group(0) = ?\n", &long)).unwrap();
    let script = format!("'{}' extract long.log -o - | head -n 1", binary());
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &script])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "{\n");
}

#[test]
fn errors_under_json_are_one_object_whatever_is_wrong() {
    let dir = folder();
    fs::write(dir.path().join("one.json"), "{\"sysfsm\": 2}").unwrap();
    for (args, part) in [
        (&["check", "--json", "-p", "missing.json", "good.log"][..], "missing.json"),
        (&["check", "--json", "-p", "one.json", "good.log"], "unknown version `2`"),
        (&["check", "--json", "good.log"], "--policy"),
        (&["show", "--format", "json", "missing.json"], "missing.json"),
    ] {
        let output = sysfsm(dir.path(), args);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
        let event: serde_json::Value = serde_json::from_slice(&output.stderr).expect("one object");
        assert_eq!(event["event"], "error", "{event}");
        assert!(event["error"].as_str().unwrap().contains(part), "{part} in {event}");
        assert!(!event["hint"].as_str().unwrap().is_empty(), "{event}");
    }
}

#[test]
fn several_policies_come_after_one_option_or_each_after_its_own() {
    let dir = folder();
    sysfsm(dir.path(), &["extract", "good.log", "-o", "p.json"]);
    let other = fs::read_to_string(dir.path().join("p.json")).unwrap().replace("/prog", "/other");
    fs::write(dir.path().join("q.json"), other).unwrap();
    for args in [
        &["check", "-p", "p.json", "q.json", "--", "good.log"][..],
        &["check", "good.log", "-p", "p.json", "q.json"],
        &["check", "-p", "q.json", "--policy", "p.json", "good.log"],
        &["check", "-p", "p.json", "good.log", "good.log"],
    ] {
        let output = sysfsm(dir.path(), args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    }
    fails(&sysfsm(dir.path(), &["check", "-p", "p.json"]), &["no log to check"]);
}
