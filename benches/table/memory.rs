//! How much memory a log takes, whatever its size, and each thread that lives in it.

use super::logs::log;
use super::rounds::Spread;
use super::row::{Row, Target};
use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;

/// Larger than memory is on most machines.
const SIZE: u64 = 10 << 30;
const THREADS: u32 = 100_000;

/// The peak of `extract`'s resident memory when it has read all that is written to its input, in
/// KiB. (Not what wait4(2) tells at its end: that is at least what the parent had when it forked.)
fn peak(lab: &Lab, mut write: impl FnMut(&mut dyn Write)) -> f64 {
    let to = lab.fresh("policies");
    fs::create_dir(&to).unwrap();
    let mut command = Command::new(binary());
    command
        .args(["extract", "-", "-o"])
        .arg(&to)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    write(&mut input);
    // It has read all of it when it waits for more.
    let of_child = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap();
    while !of_child("wchan").contains("pipe") && !of_child("stat").contains(") S ") {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    let status = of_child("status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success(), "extract");
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// It is counted, not timed: there is nothing to compare within a run.
fn exactly(value: f64) -> Spread {
    Spread { median: value, low: value, high: value }
}

pub fn rows() -> Vec<Row> {
    let lab = Lab::new();
    let once = fs::read(log(&lab, 1)).unwrap();
    let large = peak(&lab, |input| {
        for _ in 0..SIZE / once.len() as u64 {
            input.write_all(&once).unwrap();
        }
    });
    // All of them live until the log's end.
    let crowd = |threads: u32| {
        move |input: &mut dyn Write| {
            let mut text =
                String::from("1 execve(\"/bin/crowd\", [\"crowd\"], 0x7ffe /* 1 var */) = 0\n");
            for tid in 2..threads + 2 {
                let flags = "CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD";
                let _ = writeln!(text, "1 clone(child_stack=0x7f00, flags={flags}) = {tid}");
                let _ = writeln!(
                    text,
                    "{tid} set_robust_list(0x7f00, 24) = 0\n{tid} read(3,  <unfinished ...>"
                );
            }
            input.write_all(text.as_bytes()).unwrap();
        }
    };
    let each = (peak(&lab, crowd(THREADS)) - peak(&lab, crowd(0))) / f64::from(THREADS);
    vec![
        Row::new(
            "extract, peak memory over a log of 10 GiB",
            "MiB",
            Target::AtMost(32.0),
            exactly(large / 1024.0),
        ),
        Row::new(
            "extract, memory more for each live thread",
            "KiB",
            Target::AtMost(1.0),
            exactly(each),
        ),
    ]
}
