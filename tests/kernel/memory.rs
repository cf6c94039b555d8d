//! What watched programs make the kernel allocate counts against no limit of the enforcer's.

use nix::sys::signal::{kill, Signal};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Lab, Report};

/// A cgroup of a test, with a memory limit.
struct Limited {
    directory: PathBuf,
    usage: &'static str,
    limit: &'static str,
}

impl Limited {
    /// Makes a cgroup in the hierarchy that limits memory: below that of the test, or, where a
    /// cgroup with processes may have none below, below the highest one.
    fn new() -> Self {
        let root = Path::new("/sys/fs/cgroup/memory");
        let (above, usage, limit) = if root.exists() {
            let all = fs::read_to_string("/proc/self/cgroup").unwrap();
            let own = all.lines().find_map(|line| Some(line.split_once(":memory:")?.1)).unwrap();
            let above = root.join(own.trim_start_matches('/'));
            (above, "memory.usage_in_bytes", "memory.limit_in_bytes")
        } else {
            (PathBuf::from("/sys/fs/cgroup"), "memory.current", "memory.max")
        };
        let directory = above.join(format!("sysfsm-test-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        Limited { directory, usage, limit }
    }

    fn usage(&self) -> u64 {
        fs::read_to_string(self.directory.join(self.usage)).unwrap().trim().parse().unwrap()
    }

    fn limit(&self, bytes: u64) {
        fs::write(self.directory.join(self.limit), bytes.to_string()).unwrap();
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // A process that has just ended may still be counted there.
        for _ in 0..100 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_crowd_does_not_fill_the_enforcers_memory_limit() {
    // The kernel takes 2 KiB for the state of each: 40 MiB in all.
    const CROWD: &str = "20000";
    const ROOM: u64 = 8 << 20;
    let lab = Lab::new();
    let hoard = lab.fixture("hoard");
    let file = lab.path("file");
    let file = file.to_str().unwrap();
    let policy = lab.learn_at("1", &hoard, &[(&[file, "20"], ""), (&[file, "20"], "")]);
    let limited = Limited::new();
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#])
        .arg(&limited.directory)
        .arg(binary())
        .args(["enforce", "--json", "--at-most", "kill", "--policy"])
        .arg(&policy);
    let mut enforcer = lab.start(&mut command);
    let said = enforcer.said(|said| said.contains("\"event\":\"start\""));
    assert!(said.contains("\"event\":\"start\""), "{}", enforcer.stderr());
    let before = limited.usage();
    limited.limit(before + ROOM);
    let ended = lab.run(&hoard, &[file, CROWD], "").well("a crowd");
    assert_eq!(ended.stdout, "20000 made\n");
    let grown = limited.usage().saturating_sub(before);
    assert!(grown < ROOM, "the enforcer's memory has grown by {grown} bytes");
    // It still watches.
    let ended = lab.run(&hoard, &[file, "20", "loud"], "");
    assert!(ended.killed(), "{}", ended.stdout);
    kill(enforcer.pid(), Signal::SIGTERM).unwrap();
    let report = Report::of(&enforcer.end().well("the enforcer").stdout);
    assert!(report.judged() > 20_000, "{}", report.stop);
}
