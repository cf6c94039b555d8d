//! The automaton: contexts and the transitions from them.

use super::context::{Context, Depth};
use super::count::Count;
use crate::syscall::{nr, Symbol};
use std::collections::{BTreeMap, BTreeSet};

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
