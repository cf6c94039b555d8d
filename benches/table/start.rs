//! How long `enforce` takes to start.

use super::rounds::{interleave, Way};
use super::row::{Row, Target};
use super::size::{policies, synthetic};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;

const ROUNDS: usize = 11;

/// From its start to the event that says that it enforces, in milliseconds.
fn start(policy: &Path) -> f64 {
    let mut command = Command::new(binary());
    command
        .args(["enforce", "--json", "--at-most", "kill", "--policy"])
        .arg(policy)
        .args(["--", "/bin/true"]);
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let took = begun.elapsed();
    assert!(first.contains("\"event\":\"start\""), "{first}");
    assert!(lines.all(|line| line.is_ok()) && child.wait().unwrap().success());
    took.as_secs_f64() * 1e3
}

pub fn rows() -> Vec<Row> {
    let lab = Lab::new();
    let (own, large) = (lab.path("own.json"), synthetic(200));
    let program = lab.copy(Path::new("/bin/true"), "own");
    fs::write(&own, large.replace("BINARY", &program.display().to_string())).unwrap();
    let many = policies(&lab, &own, 1000, &large);
    let mut ways = [Way::new("one", || start(&own)), Way::new("many", || start(&many))];
    let samples = interleave("start", ROUNDS, &mut ways);
    vec![
        Row::new("start of enforce, 1 policy", "ms", Target::AtMost(150.0), samples.of("one")),
        Row::new(
            "start of enforce, 1,000 policies of 200 transitions",
            "ms",
            Target::AtMost(500.0),
            samples.of("many"),
        ),
    ]
}
