//! The automaton: contexts and the transitions from them.

use super::context::{Context, Depth};
use super::count::Count;
use crate::syscall::{nr, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// The automaton: its states are the contexts, its edges the transitions.
///
/// ```
/// use sysfsm::machine::{Context, Count, Depth, Machine};
/// use sysfsm::syscall::Symbol;
///
/// let mut machine = Machine::new(Depth::PAIRS);
/// let [execve, brk]: [Symbol; 2] = ["execve".parse()?, "brk".parse()?];
/// let after_execve = Context::start(execve, machine.depth());
/// machine.insert(after_execve, brk, Count { calls: 3, runs: 1 });
///
/// let row = machine.row(&after_execve).unwrap();
/// assert_eq!(row[&brk].calls, 3);
/// assert_eq!(machine.transitions(), 1);
/// # Ok::<(), sysfsm::syscall::ParseSymbolError>(())
/// ```
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

    /// The length of the machine's window.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Adds a transition. If the machine has that transition, the counts are added.
    ///
    /// Transitions that no step ever asks for are left out (semantics, rule 4): a repetition of the
    /// context's last symbol, a context that holds a repetition, and the kernel's own calls.
    pub fn insert(&mut self, context: Context, symbol: Symbol, count: Count) {
        let stutters = context.last() == Some(symbol)
            || context.symbols().windows(2).any(|pair| matches!(pair, [a, b] if a == b));
        if stutters || matches!(symbol, Symbol::Call(number) if nr::is_kernels(number)) {
            return;
        }
        self.rows.entry(context).or_default().entry(symbol).or_default().add(count);
    }

    /// Adds the transitions of another machine. The operation is associative and commutative.
    ///
    /// # Errors
    /// The other machine's depth, if it is not this one's. Then nothing was added.
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

    /// The contexts, each with its transitions and their counts, in the order of [`Context`].
    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (&Context, &BTreeMap<Symbol, Count>)> {
        self.rows.iter()
    }

    /// The transitions from one context.
    #[must_use]
    pub fn row(&self, context: &Context) -> Option<&BTreeMap<Symbol, Count>> {
        self.rows.get(context)
    }

    /// The number of transitions.
    #[must_use]
    pub fn transitions(&self) -> usize {
        self.rows.values().map(BTreeMap::len).sum()
    }

    /// What may follow a context of which only the newest symbols are known, fewer than a context
    /// can have: what follows some context that ends in them. The empty context stands for a past
    /// of which nothing is known, and has the alphabet.
    #[must_use]
    pub fn partial_contexts(&self) -> BTreeMap<Context, BTreeSet<Symbol>> {
        let mut partial = BTreeMap::new();
        let whole = self.depth.context_len();
        if whole == 0 {
            return partial;
        }
        partial.insert(Context::EMPTY, self.alphabet());
        for (context, row) in &self.rows {
            for end in context.suffixes().filter(|end| end.symbols().len() < whole) {
                partial.entry(end).or_default().extend(row.keys());
            }
        }
        partial
    }

    /// The symbols that a thread of unknown past may make: those from which the transitions start
    /// and in which they end (semantics, rule 8).
    ///
    /// `execve` and `execveat` are in the alphabet only if a transition ends in them. Every program
    /// begins with `execve`, but that allows no program to start another one.
    #[must_use]
    pub fn alphabet(&self) -> BTreeSet<Symbol> {
        let ends = self.rows.values().flat_map(BTreeMap::keys);
        let starts =
            self.rows.keys().flat_map(Context::symbols).filter(|s| {
                !matches!(s, Symbol::Signal(_) | Symbol::Call(nr::EXECVE | nr::EXECVEAT))
            });
        ends.chain(starts).copied().collect()
    }
}
