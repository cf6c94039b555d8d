//! Machines → the dense tables that the kernel reads: one cell a step, at any depth and with any
//! number of policies. Pure and deterministic.
//!
//! A state's row has a cell for each call that has an edge. All rows of all machines lie displaced
//! over each other in one array (row displacement, as in table-driven parsers): the cell of (state,
//! call) is at index `state + call` and names its owner, so a state *is* its row's place, and the
//! array is about as long as there are transitions.

mod comb;
mod compile;

pub use compile::{arrivals, Arrival, Entry, FarCell, Laid, Row, Table};

/// Calls below this number have a column; the others are [`FarCell`]s (`SYSFSM_CALLS` in
/// `bpf/sysfsm.h`).
pub const CALLS: u32 = 1024;

/// How many signal numbers there are, 0 among them (`SYSFSM_SIGNALS`).
pub const SIGNALS: usize = 65;

/// A state: the place of its row. 0 is none.
pub type State = u32;

/// A cell: the next state, if `owner` is the state that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// The state whose cell it is; 0: nobody's.
    pub owner: State,
    /// Where its call leads.
    pub next: State,
}
