//! Whatever a watched program does, the kernel allows nothing that no lawful history of the program
//! could have allowed, and reports nothing that is lawful: random programs against a model of their
//! own.
//!
//! Needs root and a kernel that runs BPF; fails where it cannot run. `SYSFSM_SEED` repeats a round.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

mod families;
mod history;
mod model;
mod policies;
mod round;
mod run;

use round::round;
use std::time::{Duration, Instant};
use sysfsm_testing::lab::Lab;
use sysfsm_testing::random::{seed, Random};

/// Rounds of these seeds are always played.
const SEEDS: [u64; 4] = [1, 2, 3, 4];

fn play(seeds: impl Iterator<Item = u64>) {
    let lab = Lab::new();
    let mut all = round::Totals::default();
    for seed in seeds {
        all.add(&round(&lab, seed));
    }
    eprintln!("{all:?}");
    assert!(all.enough(), "{all:?}");
}

#[test]
fn random_programs_do_what_the_model_allows() {
    play(SEEDS.into_iter());
}

#[test]
fn a_minute_of_random_programs() {
    let begun = Instant::now();
    let minutes: f64 = std::env::var("MINUTES").map_or(1.0, |m| m.parse().unwrap());
    let until = begun + Duration::from_secs_f64(60.0 * minutes);
    if std::env::var_os("SYSFSM_SEED").is_some() && std::env::var_os("MINUTES").is_none() {
        // The order of tasks is a matter of chance.
        return play(std::iter::repeat_n(seed(), 10));
    }
    let mut random = Random(seed());
    play(std::iter::from_fn(|| (Instant::now() < until).then(|| random.number() >> 16)));
}
