//! Predicting from some runs, and looking at the others.

use super::dice::Dice;
use sysfsm::machine::{Coverage, Machine};

/// So many runs teach.
pub const SIZES: [usize; 4] = [2, 5, 10, 25];

/// Sums over trials.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    trials: f64,
    estimates: f64,
    truths: f64,
    errors: f64,
    lows: f64,
    highs: f64,
    too_high: f64,
    too_low: f64,
    naive: f64,
}

impl Outcome {
    pub fn add(&mut self, other: &Outcome) {
        self.trials += other.trials;
        self.estimates += other.estimates;
        self.truths += other.truths;
        self.errors += other.errors;
        self.lows += other.lows;
        self.highs += other.highs;
        self.too_high += other.too_high;
        self.too_low += other.too_low;
        self.naive += other.naive;
    }

    /// The share of intervals that held the truth.
    pub fn held(&self) -> f64 {
        1.0 - (self.too_high + self.too_low) / self.trials
    }

    pub fn row(&self) -> String {
        let mean = |sum: f64| sum / self.trials;
        format!(
            "{:.2} | {:.2} | {:.2} to {:.2} | {} | {} | {:.2}",
            mean(self.estimates),
            mean(self.truths),
            mean(self.lows),
            mean(self.highs),
            self.too_high,
            self.too_low,
            mean(self.naive)
        )
    }

    pub fn summary(&self) -> String {
        let mean = |sum: f64| sum / self.trials;
        format!(
            "{:.1}% of {} | {:.2} wide | {:.2}",
            100.0 * self.held(),
            self.trials,
            mean(self.highs - self.lows),
            mean(self.errors)
        )
    }
}

/// Divides the runs at random, as often as is said.
pub fn splits(runs: &[&Machine], size: usize, count: u64) -> Outcome {
    let mut sum = Outcome::default();
    for seed in 0..count {
        let mut order = runs.to_vec();
        Dice::new(seed).shuffle(&mut order);
        let (teaching, held_back) = order.split_at(size);
        sum.add(&trial(teaching, held_back));
    }
    sum
}

fn trial(teaching: &[&Machine], held_back: &[&Machine]) -> Outcome {
    let mut machine = Machine::new(teaching[0].depth());
    for run in teaching {
        machine.merge(run).unwrap();
    }
    let coverage = Coverage::of(&machine, teaching.len() as u64);
    let chance = coverage.novelty.unwrap();
    let novel = held_back.iter().filter(|run| !run.refused_by(&machine).is_empty()).count();
    let truth = share(novel, held_back.len());
    // A share of so many runs goes in steps of one run: the ends are those of the steps that they
    // are in.
    let step = |end: f64| end * share(held_back.len(), 1);
    let runs = share(novel, 1);
    let once = usize::try_from(coverage.seen_once).unwrap();
    Outcome {
        trials: 1.0,
        estimates: chance.estimate,
        truths: truth,
        errors: (chance.estimate - truth).abs(),
        lows: chance.low,
        highs: chance.high,
        too_high: f64::from(u8::from(runs < step(chance.low).floor())),
        too_low: f64::from(u8::from(runs > step(chance.high).ceil())),
        naive: 1.0 - (-share(once, teaching.len())).exp(),
    }
}

fn share(part: usize, whole: usize) -> f64 {
    let real = |n| f64::from(u32::try_from(n).unwrap());
    real(part) / real(whole)
}
