//! Where the system gives no threads: what is read ahead and in parallel is read all the same, and
//! gives the same bytes.

#![allow(unsafe_code)]

use nix::sys::resource::{setrlimit, Resource};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use sysfsm_testing::binary;
use tempfile::TempDir;

/// A user that has no other process: root is not held to the limit.
const USER: u32 = 61_234;

/// Runs the binary, without threads if `alone`.
fn run(dir: &Path, args: &[&str], alone: bool) -> Output {
    let mut command = Command::new(binary());
    command.args(args).current_dir(dir);
    if alone {
        if nix::unistd::geteuid().is_root() {
            command.uid(USER).gid(USER);
        }
        // SAFETY: setrlimit may be called between fork and exec.
        unsafe {
            command.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_NPROC, 1, 1)?));
        }
    }
    command.output().unwrap()
}

#[test]
fn without_threads_the_same_bytes_are_read_and_written() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // More than is read at once, several times over.
    let mut log = String::from("execve(\"/usr/bin/prog\", [\"prog\"], 0x7ffd /* 8 vars */) = 0\n");
    for number in 0..60_000 {
        let name = ["brk", "getpid", "umask", "alarm", "getuid"][number * 7 % 13 % 5];
        let _ = writeln!(log, "{name}({number}) = {number}");
    }
    log.push_str("exit_group(0) = ?\n+++ exited with 0 +++\n");
    fs::write(dir.path().join("log"), &log).unwrap();
    assert!(log.len() > 4 * 256 * 1024);
    let policies = dir.path().join("policies");
    fs::create_dir(&policies).unwrap();
    for number in 0..40 {
        let policy = format!(
            r#"{{"sysfsm": 1, "binary": "/bin/p{number}", "transitions": {{"execve": ["brk"]}}}}"#
        );
        fs::write(policies.join(format!("{number}.json")), policy).unwrap();
    }
    for args in [
        ["extract", "log", "-o", "-"].as_slice(),
        &["show", "policies"],
        &["diff", "policies", "policies"],
    ] {
        let (with, without) = (run(dir.path(), args, false), run(dir.path(), args, true));
        assert!(with.status.success(), "{args:?}: {}", String::from_utf8_lossy(&with.stderr));
        assert_eq!(
            with.status,
            without.status,
            "{args:?}: {}",
            String::from_utf8_lossy(&without.stderr)
        );
        assert!(with.stdout == without.stdout && with.stderr == without.stderr, "{args:?}");
    }
}
