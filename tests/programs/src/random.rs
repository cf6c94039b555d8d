//! Seeded chance, the same on every machine.

/// The seed of a test whose runs differ: `SYSFSM_SEED`, or the time. It is printed, so that a run can
/// be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("SYSFSM_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
        now.as_secs() << 20 | u64::from(now.subsec_nanos()) >> 10
    });
    eprintln!("SYSFSM_SEED={seed}");
    seed
}

/// splitmix64: small, and good enough to choose by.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if there is none.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.number() % n.max(1) as u64).unwrap()
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}
