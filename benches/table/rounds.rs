//! Samples taken in turn, and what can be said of them: these machines' speed changes from minute
//! to minute, so that only what was measured side by side may be compared.

use std::io::{stderr, IsTerminal as _};

/// One of several ways to do a thing: its name, and what doing it once takes.
pub struct Way<'a> {
    pub name: &'static str,
    pub sample: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Way<'a> {
    pub fn new(name: &'static str, sample: impl FnMut() -> f64 + 'a) -> Self {
        Way { name, sample: Box::new(sample) }
    }
}

/// The samples of all ways, of one round after another.
pub struct Samples {
    names: Vec<&'static str>,
    rounds: Vec<Vec<f64>>,
}

/// A median, and the quartiles around it.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

/// Does everything once to warm up, and then in so many rounds, every other of them backwards.
pub fn interleave(what: &str, rounds: usize, ways: &mut [Way]) -> Samples {
    let shown = stderr().is_terminal();
    let mut samples = Samples { names: ways.iter().map(|w| w.name).collect(), rounds: Vec::new() };
    for round in 0..=rounds {
        if shown {
            eprint!("\r\x1b[K{what}: round {round} of {rounds}");
        }
        let mut row = vec![0.0; ways.len()];
        let mut order: Vec<usize> = (0..ways.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            row[at] = (ways[at].sample)();
        }
        if round > 0 {
            samples.rounds.push(row);
        }
    }
    if shown {
        eprint!("\r\x1b[K");
    }
    samples
}

impl Samples {
    /// Where in a round a way stands.
    pub fn at(&self, name: &str) -> usize {
        self.names
            .iter()
            .position(|n| *n == name)
            .unwrap_or_else(|| panic!("no way is called {name}"))
    }

    /// What one way took.
    pub fn of(&self, name: &str) -> Spread {
        let at = self.at(name);
        self.each(|row| row[at])
    }

    /// How much more one way took than another of the same round.
    pub fn more(&self, name: &str, than: &str) -> Spread {
        let (a, b) = (self.at(name), self.at(than));
        self.each(|row| row[a] - row[b])
    }

    /// How many times as much.
    pub fn times(&self, name: &str, of: &str) -> Spread {
        let (a, b) = (self.at(name), self.at(of));
        self.each(|row| row[a] / row[b])
    }

    /// Something of each round.
    pub fn each(&self, value: impl Fn(&[f64]) -> f64) -> Spread {
        let mut values: Vec<f64> = self.rounds.iter().map(|row| value(row)).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: usize| values[(values.len() - 1) * share / 4];
        Spread { median: at(2), low: at(1), high: at(3) }
    }
}
