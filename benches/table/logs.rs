//! How long a log takes, against tools that only look at its bytes.

use super::rounds::{interleave, Way};
use super::row::{Row, Target};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;

const ROUNDS: usize = 9;
/// How large the log is, in MiB.
const SIZE: u32 = 256;

/// What is traced for it: shells and pipes, a compiler, an interpreter, archives; threads, signals,
/// much reading.
const WORK: [&str; 5] = [
    "tar cf work.tar /usr/include/linux && gzip -k work.tar && xz -T2 -0 -k work.tar && tar xf work.tar",
    "for i in $(seq 40); do cat work.tar | head -c 10000 | wc -c; done; find /usr/share/doc -name 'c*' | sort | tail -1",
    "echo 'int main(void){return 0;}' >a.c && gcc -O1 a.c -o a && ./a",
    "python3 -c 'import json, threading, subprocess; [threading.Thread(target=json.dumps, args=([1]*99,)).start() for _ in range(40)]; subprocess.run([\"ls\", \"-lR\", \"/usr/share/perl5\"], stdout=subprocess.DEVNULL)'",
    "grep -rc include /usr/include/linux | tail -1; sqlite3 a.db 'create table t(a); insert into t select value from generate_series(1,1000);' || true",
];

/// A log of real programs, one that fits into memory, over and over up to a size.
pub fn log(lab: &Lab, size: usize) -> PathBuf {
    let place = lab.fresh("place");
    fs::create_dir(&place).unwrap();
    let once = lab.fresh("once");
    let mut command = Command::new("strace");
    command.args(["-f", "-o"]).arg(&once).args(["sh", "-c"]);
    command.arg(format!("cd {} && {}", place.display(), WORK.join("; ")));
    lab.start(&mut command).end().well("the traced work");
    let once = fs::read(once).unwrap();
    let to = lab.fresh("log");
    let mut file = File::create(&to).unwrap();
    for _ in 0..size.div_ceil(once.len()) {
        file.write_all(&once).unwrap();
    }
    to
}

/// How long a command takes, on these processors, in seconds.
fn time(processors: &str, command: &[&str], log: &Path) -> f64 {
    let mut timed = Command::new("taskset");
    timed
        .args(["-c", processors])
        .args(command)
        .arg(log)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = Instant::now();
    let status = timed.status().unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}");
    took
}

pub fn rows() -> Vec<Row> {
    let lab = Lab::new();
    let log = log(&lab, SIZE as usize * 1024 * 1024);
    let policies = lab.path("policies/");
    fs::create_dir(&policies).unwrap();
    let to = policies.display().to_string();
    let extract = [binary(), "extract", "-o", &to];
    time("0,1", &extract, &log);
    let check = [binary(), "check", "--policy", &to];
    let mut ways = [
        Way::new("wc", || time("1", &["wc", "-l"], &log)),
        Way::new("rg", || time("1", &["rg", "-c", "-F", " = "], &log)),
        Way::new("extract", || time("1", &extract, &log)),
        Way::new("check", || time("1", &check, &log)),
        Way::new("extract on two", || time("0,1", &extract, &log)),
    ];
    let samples = interleave("logs", ROUNDS, &mut ways);
    let at = samples.at("extract");
    vec![
        Row::new(
            "extract, one core",
            "MiB/s",
            Target::None,
            samples.each(|row| f64::from(SIZE) / row[at]),
        ),
        Row::new(
            "extract, one core, against rg -c -F ' = '",
            "×",
            Target::AtMost(2.0),
            samples.times("extract", "rg"),
        ),
        Row::new(
            "extract, one core, against wc -l",
            "×",
            Target::AtMost(4.0),
            samples.times("extract", "wc"),
        ),
        Row::new(
            "extract, two cores against one",
            "× faster",
            Target::AtLeast(1.7),
            samples.times("extract", "extract on two"),
        ),
        Row::new(
            "check, against extract",
            "×",
            Target::AtMost(1.5),
            samples.times("check", "extract"),
        ),
    ]
}
