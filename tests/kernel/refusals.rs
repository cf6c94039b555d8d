//! What `enforce` refuses to start with: each exit status 2, one clear message, and nothing
//! attached. As root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use sysfsm_testing::binary;
use sysfsm_testing::command::fails;
use sysfsm_testing::lab::copy;
use tempfile::TempDir;

/// A folder that everybody may read, with a copy of sysfsm and of a program.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    copy(Path::new(binary()), &dir.path().join("sysfsm"));
    copy(Path::new("/bin/true"), &dir.path().join("prog"));
    dir
}

fn policy(dir: &Path, name: &str, binary: &str, more: &str) -> PathBuf {
    let path = dir.join(name);
    let text = format!(
        "{{\"sysfsm\": 1, \"binary\": \"{binary}\", {more} \"transitions\": {{\"execve\": [\"brk\"]}}}}"
    );
    fs::write(&path, text).unwrap();
    path
}

fn enforce(dir: &Path, policies: &[&Path], more: &[&str]) -> Output {
    let mut command = Command::new(dir.join("sysfsm"));
    // The levels have tests of their own, in tests/veto.
    command.args(["enforce", "--at-most", "kill"]).args(more);
    for path in policies {
        command.arg("--policy").arg(path);
    }
    command.args(["--", "/bin/true"]).output().expect("sysfsm runs")
}

#[test]
fn an_action_or_a_level_that_cannot_be_kept() {
    let dir = folder();
    let dir = dir.path();
    let prog = dir.join("prog").display().to_string();
    let deny = policy(dir, "deny.json", &prog, "\"action\": \"deny\",");
    fails(&enforce(dir, &[&deny], &[]), &["deny", "veto", &prog]);
    assert!(enforce(dir, &[&deny], &["--log-only"]).status.success());
    let kill = policy(dir, "kill.json", &prog, "");
    for level in ["contain", "prevent"] {
        fails(
            &enforce(dir, &[&kill], &["--require", level]),
            &["level `kill`", level, "--require kill"],
        );
    }
    assert!(enforce(dir, &[&kill], &["--require", "kill"]).status.success());
}

#[test]
fn binaries_that_cannot_be_bound_all_in_one_go() {
    let dir = folder();
    let dir = dir.path();
    fs::hard_link(dir.join("prog"), dir.join("twin")).unwrap();
    let at = |name: &str| dir.join(name).display().to_string();
    let policies = [
        policy(dir, "a.json", &at("prog"), ""),
        policy(dir, "b.json", &at("twin"), ""),
        policy(dir, "c.json", &at("missing"), ""),
        policy(dir, "d.json", "./prog", ""),
        policy(dir, "e.json", &dir.display().to_string(), ""),
        policy(dir, "f.json", "prog", ""),
    ];
    let policies: Vec<&Path> = policies.iter().map(PathBuf::as_path).collect();
    let output = enforce(dir, &policies, &[]);
    fails(&output, &["same file", "missing", "relative", "not a regular file", "`prog` matches"]);
}

#[test]
fn no_privilege() {
    let dir = folder();
    let prog = dir.path().join("prog").display().to_string();
    let policy = policy(dir.path(), "p.json", &prog, "");
    let output = Command::new(dir.path().join("sysfsm"))
        .args(["enforce", "--policy"])
        .arg(policy)
        .uid(65534)
        .gid(65534)
        .output()
        .expect("this test runs as root");
    fails(&output, &["missing privilege", "root"]);
    let doctor = Command::new(dir.path().join("sysfsm"))
        .arg("doctor")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    assert_eq!(doctor.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("level: none"));
}

#[test]
fn a_kernel_without_btf() {
    let dir = folder();
    let prog = dir.path().join("prog").display().to_string();
    let policy = policy(dir.path(), "p.json", &prog, "");
    // In a mount namespace of its own the kernel's BTF is hidden.
    let script = "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" enforce --policy \"$1\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(dir.path().join("sysfsm"))
        .arg(policy)
        .output()
        .expect("unshare runs");
    fails(&output, &["BTF", "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"]);
}

#[test]
fn a_command_that_does_not_exist() {
    let dir = folder();
    let prog = dir.path().join("prog").display().to_string();
    let policy = policy(dir.path(), "p.json", &prog, "");
    let output = Command::new(dir.path().join("sysfsm"))
        // It starts soonest.
        .args(["enforce", "--at-most", "kill", "--policy"])
        .arg(policy)
        .args(["--", "/no/such/program"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cannot run `/no/such/program`"), "{stderr}");
}

#[test]
fn doctor_says_what_this_kernel_offers() {
    let output = Command::new(binary()).args(["doctor", "--json"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = |name: &str| lines.iter().any(|l| l["name"] == name && l["found"] == true);
    let level = if (found("lsm_programs") || found("fmod_ret")) && found("fmod_ret_syscalls") {
        "prevent"
    } else if found("lsm_programs") || found("fmod_ret") {
        "contain"
    } else {
        "kill"
    };
    let last = lines.last().unwrap();
    assert_eq!((&last["event"], &last["level"]), (&"level".into(), &level.into()));
    assert_eq!(last["next"].is_null(), level == "prevent", "what leads to the next level: {last}");
}
