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

    /// The options that fell, each with its own chance in a hundred.
    pub fn options(&mut self, list: &[(usize, &str)]) -> Vec<String> {
        list.iter()
            .filter(|(chance, _)| self.percent(*chance))
            .map(|(_, o)| (*o).to_string())
            .collect()
    }

    /// A random order, Fisher and Yates's.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}
