//! Machines → the dense tables that the kernel reads: one cell a step, at any depth and with any
//! number of policies. Pure and deterministic.
//!
//! A state's row has a cell for each call that has an edge. All rows of all machines lie displaced
//! over each other in one array (row displacement, as in table-driven parsers): the cell of (state,
//! call) is at index `state + call` and names its owner, so a state *is* its row's place, and the
//! array is about as long as there are transitions.

mod cell;
mod comb;
mod compile;

pub use cell::{Cell, State, CALLS, SIGNALS};
pub use compile::{migrations, CompiledMachine, Entry, FarCell, MigrationTarget, Row, Table};
