//! How often a transition was seen.

/// How often a transition was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Calls that took it.
    pub calls: u64,
    /// Runs in which it was taken at least once.
    pub runs: u64,
}

impl Count {
    pub(super) fn add(&mut self, other: Count) {
        self.calls = self.calls.saturating_add(other.calls);
        self.runs = self.runs.saturating_add(other.runs);
    }
}
