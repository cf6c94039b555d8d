//! Calibration of the chance that the next run shows something new: real programs, random lawful
//! runs, each traced by itself. Some runs teach, the others tell how often there was something new
//! in truth. `make calibration` prints the tables of docs/coverage.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

// Not all of it is needed here.
mod dice;
mod programs;
mod runs;
mod trial;

use programs::{FITTED, FRESH};
use sysfsm::machine::Depth;
use trial::{Outcome, SIZES};

/// Runs of each program.
const RUNS: u64 = 50;
/// Divisions into those that teach and those that are held back, of each size.
const SPLITS: u64 = 40;
/// The least share of intervals that must hold what the held-back runs did.
const WANTED: f64 = 0.90;

#[test]
#[ignore = "traces 600 runs: make calibration"]
fn the_interval_holds_what_the_runs_held_back_did() {
    let depths: Vec<Depth> = Depth::all().take(4).collect();
    let mut all = vec![[Outcome::default(); 2]; depths.len()];
    println!(
        "| program | runs | estimate | in truth | interval | too high | too low | 1−e^(−Q1/T) |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (fresh, list) in [(0, &FITTED[..]), (1, &FRESH[..])] {
        for (program, generate) in list {
            let traced = runs::trace(program, *generate, RUNS, &depths);
            for (at, depth) in depths.iter().enumerate() {
                let machines: Vec<_> = traced.iter().map(|run| &run[at]).collect();
                for size in SIZES {
                    let outcome = trial::splits(&machines, size, SPLITS);
                    all[at][fresh].add(&outcome);
                    if *depth == Depth::PAIRS {
                        println!("| `{program}` | {size} | {} |", outcome.row());
                    }
                }
            }
        }
    }
    println!("\n| depth | programs | held | interval | mean error |");
    println!("|---|---|---|---|---|");
    for (depth, outcomes) in depths.iter().zip(&all) {
        for (outcome, programs) in
            outcomes.iter().zip(["that the rule was made with", "that it was not"])
        {
            println!("| {depth} | {programs} | {} |", outcome.summary());
        }
    }
    for (depth, outcome) in
        depths.iter().zip(&all).flat_map(|(depth, both)| both.iter().map(move |t| (depth, t)))
    {
        assert!(outcome.held() >= WANTED, "depth {depth}: {}", outcome.summary());
    }
}
