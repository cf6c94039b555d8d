//! How much memory a log takes, whatever its size, and each thread that lives in it.

use super::lab::{Lab, SYSFSM};
use super::logs::log;
use super::rounds::Spread;
use super::row::{Row, Target};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// Larger than memory is on most machines.
const SIZE: u64 = 10 << 30;
const THREADS: u32 = 100_000;

/// The peak of `extract`'s resident memory over what is written to its input, in KiB.
fn peak(lab: &Lab, mut write: impl FnMut(&mut dyn Write)) -> f64 {
    let to = lab.fresh("policies");
    fs::create_dir(&to).unwrap();
    let mut command = Command::new(SYSFSM);
    let mut child = command
        .args(["extract", "-", "-o"])
        .arg(&to)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    write(&mut child.stdin.take().unwrap());
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::uninit());
    let pid = i32::try_from(child.id()).unwrap();
    // SAFETY: a child of ours that nobody has waited for, and room for what is told of it.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((waited, status), (pid, 0), "extract");
    // SAFETY: wait4 has filled it.
    let usage = unsafe { usage.assume_init() };
    usage.ru_maxrss as f64
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
            let mut text = String::from("1 execve(\"/bin/crowd\", [\"crowd\"], 0x7ffe /* 1 var */) = 0\n");
            for tid in 2..threads + 2 {
                text.push_str(&format!("1 clone(child_stack=0x7f00, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD) = {tid}\n"));
                text.push_str(&format!(
                    "{tid} set_robust_list(0x7f00, 24) = 0\n{tid} read(3,  <unfinished ...>\n"
                ));
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
        Row::new("extract, memory more for each live thread", "KiB", Target::AtMost(1.0), exactly(each)),
    ]
}
