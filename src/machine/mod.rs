//! The automaton over system calls: its frames, its one step, how it is learned, merged and
//! replayed.
//!
//! [`Judge::call`] is the executable specification of docs/semantics.md. The BPF step must agree
//! with it; `tests/equality.rs` drives both with the same random events.

mod context;
mod coverage;
mod diff;
mod frames;
mod judge;
mod learn;
mod replay;
mod threads;

pub use context::{Context, Depth, DepthError, MAX_DEPTH};
pub use coverage::{Chance, Coverage, Untold, LEVEL};
pub use frames::{Frames, MAX_FRAMES};
pub use judge::{Judge, Reaction, Reason, State, Verdict};
pub use learn::{Learned, Learner};
pub use replay::{foreign_symbol, Bound, Finding, Replay};

use crate::syscall::{nr, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// How often a transition was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Calls that took it.
    pub calls: u64,
    /// Runs in which it was taken at least once.
    pub runs: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.calls = self.calls.saturating_add(other.calls);
        self.runs = self.runs.saturating_add(other.runs);
    }
}

/// The automaton: its states are the contexts, its edges the transitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    depth: Depth,
    rows: BTreeMap<Context, BTreeMap<Symbol, Count>>,
}

impl Machine {
    /// A machine without transitions.
    #[must_use]
    pub fn new(depth: Depth) -> Self {
        Machine { depth, rows: BTreeMap::new() }
    }

    /// The length of its window.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Adds a transition, or to its counts. What the step never asks for is left out: a repetition
    /// of the context's last symbol (a self-loop), a context that holds one, and `restart_syscall`,
    /// which is no symbol.
    pub fn insert(&mut self, context: Context, symbol: Symbol, count: Count) {
        let stutters = context.last() == Some(symbol)
            || context.symbols().windows(2).any(|pair| matches!(pair, [a, b] if a == b));
        if stutters || symbol == Symbol::Call(nr::RESTART_SYSCALL) {
            return;
        }
        self.rows.entry(context).or_default().entry(symbol).or_default().add(count);
    }

    /// Adds another machine's transitions; associative and commutative. The depths must be the
    /// same.
    ///
    /// # Errors
    /// The other's depth, if it is not this one's; then nothing was added.
    pub fn merge(&mut self, other: &Machine) -> Result<(), Depth> {
        if self.depth != other.depth {
            return Err(other.depth);
        }
        for (context, row) in &other.rows {
            for (&symbol, &count) in row {
                self.insert(*context, symbol, count);
            }
        }
        Ok(())
    }

    /// Its contexts, each with its transitions and their counts.
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (&Context, &BTreeMap<Symbol, Count>)> {
        self.rows.iter()
    }

    /// The transitions out of one context.
    #[must_use]
    pub fn row(&self, context: &Context) -> Option<&BTreeMap<Symbol, Count>> {
        self.rows.get(context)
    }

    /// How many transitions it has.
    #[must_use]
    pub fn transitions(&self) -> usize {
        self.rows.values().map(BTreeMap::len).sum()
    }

    /// The symbols that a thread of unknown past may make: those of the transitions and of their
    /// contexts. But `execve` only if some transition reads it: that every program begins with it
    /// lets none begin another.
    #[must_use]
    pub fn alphabet(&self) -> BTreeSet<Symbol> {
        let read = self.rows.values().flat_map(BTreeMap::keys);
        let made =
            self.rows.keys().flat_map(Context::symbols).filter(|s| {
                !matches!(s, Symbol::Signal(_) | Symbol::Call(nr::EXECVE | nr::EXECVEAT))
            });
        read.chain(made).copied().collect()
    }
}
