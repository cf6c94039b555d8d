//! How often a transition was seen.

/// How often a transition was seen. Both counts stop at [`u64::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Calls that took the transition.
    pub calls: u64,
    /// Runs in which the transition was taken at least once.
    pub runs: u64,
}

impl Count {
    pub(super) fn add(&mut self, other: Count) {
        self.calls = self.calls.saturating_add(other.calls);
        self.runs = self.runs.saturating_add(other.runs);
    }
}
