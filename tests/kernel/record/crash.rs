//! A recorder that is killed leaves a whole file, in which at most the last interval is missing.

use super::{json, start, transitions};
use nix::sys::signal::{kill, Signal};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};
use sysfsm_testing::lab::Lab;

const KILLS: u64 = 100;
/// It writes ten times a second. On a machine that does other work too one may come much later.
const LATE: Duration = Duration::from_secs(5);
/// Kills come within this many milliseconds.
const WITHIN: u64 = 1200;

/// How many reads a process has made, as the kernel counts them.
fn reads(process: &Path) -> Option<u64> {
    let io = fs::read_to_string(process.join("io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("syscr: ")?.parse().ok())
}

/// The process that a recorder has started.
fn child_of(pid: i32) -> Option<std::path::PathBuf> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Some(Path::new("/proc").join(children.split_whitespace().next()?))
}

#[test]
fn killed_at_any_moment_it_leaves_a_whole_file() {
    let lab = Lab::new();
    let program = lab.copy(Path::new("/usr/bin/dd"), "dd").display().to_string();
    let file = lab.path("policy.json");
    let old = "{\"sysfsm\": 1, \"binary\": \"/old\", \"transitions\": {}}";
    let [mut new, mut checked] = [0, 0];
    let mut random = u64::from(std::process::id());
    for _ in 0..KILLS {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_millis((random >> 33) % WITHIN);
        fs::write(&file, old).unwrap();
        // Two calls a byte, without end.
        let arguments = [
            "--every",
            "100ms",
            "-o",
            file.to_str().unwrap(),
            "--",
            &program,
            "if=/dev/zero",
            "bs=1",
        ];
        let recorder =
            start(&lab, &[&arguments as &[&str], &["of=/dev/null", "status=none"]].concat());
        let begun = Instant::now();
        // What was done when each new file was seen: the next one was made after that.
        let (mut inode, mut done, mut last) = (fs::metadata(&file).unwrap().ino(), vec![0], begun);
        while begun.elapsed() < moment {
            let now = fs::metadata(&file).unwrap().ino();
            if now != inode {
                inode = now;
                done.extend(child_of(recorder.pid().as_raw()).and_then(|child| reads(&child)));
                last = Instant::now();
            }
            assert!(last.elapsed() < LATE, "nothing was written for {LATE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        kill(recorder.pid(), Signal::SIGKILL).unwrap();
        drop(recorder);
        let policy = json(&file);
        let found = transitions(&policy).get("write → read").map_or(0, |count| count.0);
        // The second last: what was done when the last file was seen may have been done after it
        // was made.
        let done = done.iter().rev().nth(1).copied().unwrap_or(0);
        new += u64::from(policy["binary"] != "/old");
        checked += u64::from(done > 1000);
        // The loader has read its libraries, which is no `write → read`.
        assert!(
            found + 50 >= done,
            "killed after {moment:?}: {found} reads of {done} are in the file"
        );
    }
    eprintln!(
        "{KILLS} kills: {new} files were new, and {checked} were held against what was done before"
    );
    assert!(new > KILLS / 4 && checked > KILLS / 10);
}
