//! What `walkers` does, so that a test can compute what there must be to record.

use crate::random::Random;

/// The call that each thread makes before its walk and after it.
pub const MARK: u64 = 4999;

/// How many numbers the walk has, none of which a kernel knows, and the first of them.
const NUMBERS: u64 = 48;
const FIRST: u64 = 4000;

/// The walk of a seed, without end: numbers of calls.
pub fn walk(seed: u64) -> impl Iterator<Item = u64> {
    let mut random = Random(seed);
    std::iter::repeat_with(move || FIRST + random.number() % NUMBERS)
}
