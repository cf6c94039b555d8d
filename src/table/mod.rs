//! The compiler from machines to the tables that the kernel reads. Lives here: one array for the
//! rows of all machines (row displacement), and the compiled machines. May know: `machine` and
//! `syscall`; nothing of the kernel, no I/O.
//!
//! A state's row has a cell for each call that has an edge. All rows of all machines lie displaced
//! over each other in one array (row displacement, as in table-driven parsers). The cell of (state,
//! call) has the index `state + call` and names its owner. So a state *is* the base of its row, and
//! the array is about as long as there are transitions. A step is one cell, at any depth and with
//! any number of policies.

mod cell;
mod comb;
mod compile;

pub use cell::{Cell, State, CALLS, SIGNALS};
pub use compile::{migrations, CompiledMachine, Entry, FarCell, Row, Table};
