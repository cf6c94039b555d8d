//! Seeded chance, the same on every machine.

use sysfsm_testing::random::Random;

/// Chance that chooses options.
pub struct Dice(Random);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(Random(seed))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// Yes, so many times in a hundred.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    /// The options that fell, each with its own chance in a hundred: `50 -l | 30 -a`, in one line
    /// or in several.
    pub fn options(&mut self, list: &str) -> Vec<String> {
        let options = list.lines().flat_map(|line| line.trim_start().split(" | "));
        let fell = options.filter(|o| !o.is_empty()).map(chance_and_rest);
        fell.filter(|&(chance, _)| self.percent(chance)).map(|(_, o)| o.to_string()).collect()
    }

    /// A random order, Fisher and Yates's.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// Chances in a hundred, and what falls with each: one a line, `20 print 1`.
pub fn weighted(list: &str) -> impl Iterator<Item = (usize, &str)> {
    list.lines().map(str::trim).filter(|line| !line.is_empty()).map(chance_and_rest)
}

fn chance_and_rest(entry: &str) -> (usize, &str) {
    let (chance, rest) = entry.split_once(' ').expect("a chance and what falls");
    (chance.parse().expect("a chance in a hundred"), rest)
}
