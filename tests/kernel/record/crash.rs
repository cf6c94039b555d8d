//! A recorder that is killed leaves a whole file, in which at most the last interval is missing.

use super::{json, start, transitions};
use crate::lab::Lab;
use nix::sys::signal::{kill, Signal};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const KILLS: u64 = 100;
const EVERY: Duration = Duration::from_millis(100);
/// For the writing itself, on a machine that does other work too.
const SLACK: Duration = Duration::from_millis(400);
/// Kills come within so many milliseconds.
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
    let mut random = Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id());
    for _ in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_millis((random >> 33) % WITHIN);
        fs::write(&file, old).unwrap();
        // Two calls a byte, without end.
        let arguments =
            ["--every", "100ms", "-o", file.to_str().unwrap(), "--", &program, "if=/dev/zero", "bs=1"];
        let recorder = start(&lab, &[&arguments as &[&str], &["of=/dev/null", "status=none"]].concat());
        let begun = Instant::now();
        // What was done early enough to be in the file.
        let mut done = 0;
        while begun.elapsed() < moment {
            let early = begun.elapsed() + EVERY + SLACK < moment;
            let so_far = child_of(recorder.pid().as_raw()).and_then(|child| reads(&child));
            if let (true, Some(so_far)) = (early, so_far) {
                done = so_far;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        kill(recorder.pid(), Signal::SIGKILL).unwrap();
        drop(recorder);
        let policy = json(&file);
        let recorded = transitions(&policy).get("write → read").map_or(0, |count| count.0);
        new += u64::from(policy["binary"] != "/old");
        // The loader has read its libraries before, and some bytes are between the two.
        checked += u64::from(done > 1000);
        assert!(recorded + 50 >= done, "killed after {moment:?}: {recorded} reads of {done} are in the file");
    }
    eprintln!("{KILLS} kills: {new} files were new, and {checked} were held against what was done before");
    assert!(new > KILLS / 2 && checked > KILLS / 4);
}
