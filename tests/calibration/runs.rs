//! Real runs: each start of a program under strace, its log learned for itself.

use super::dice::Dice;
use super::programs::{scene, Generator};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use sysfsm::machine::{Depth, Learner, Machine};
use sysfsm::trace::Reader;

/// Other runs than those that the rule was made with.
const FIRST_SEED: u64 = 1000;

/// Traces `count` starts; a machine of each depth for each.
pub fn trace(
    program: &str,
    generate: Generator,
    count: u64,
    depths: &[Depth],
) -> Vec<Vec<Machine>> {
    (FIRST_SEED..FIRST_SEED + count).map(|seed| run(program, generate, seed, depths)).collect()
}

fn run(program: &str, generate: Generator, seed: u64, depths: &[Depth]) -> Vec<Machine> {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("scene");
    let log = folder.path().join("log");
    fs::create_dir(&dir).unwrap();
    let mut dice = Dice::new(seed);
    scene(&mut dice, &dir);
    let start = generate(&mut dice, &dir);
    let status = Command::new("strace")
        .args(["-f", "-o"])
        .args([&log, Path::new("--"), Path::new(program)])
        .args(&start.arguments)
        .current_dir(&dir)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent")])
        .env("LC_ALL", if dice.percent(50) { "C" } else { "C.UTF-8" })
        .stdin(Stdio::from(File::open(dir.join(start.input)).unwrap()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace is there: make deps");
    assert!(log.exists(), "strace ended with {status}");
    depths.iter().map(|&depth| learn(program, &log, depth)).collect()
}

/// What the one run of the program took; those of its children are no matter.
fn learn(program: &str, log: &Path, depth: Depth) -> Machine {
    let mut learner = Learner::new(depth);
    let file = BufReader::new(File::open(log).unwrap());
    Reader::new().read(0, file, &mut |event| learner.event(&event)).unwrap();
    let own =
        learner.finish().into_iter().find(|l| &*l.binary == program).expect("the program ran");
    assert_eq!(own.runs, 1, "{}: one run", log.display());
    own.machine
}
