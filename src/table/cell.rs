//! Cells and states: what the array of rows is made of.

/// Calls below this number have a column; the others are [`FarCell`]s (`SYSFSM_CALLS` in
/// `bpf/sysfsm.h`).
pub const CALLS: u32 = 1024;

/// How many signal numbers there are, 0 among them (`SYSFSM_SIGNALS`).
pub const SIGNALS: usize = 65;

/// A state: the base of its row, an index into the array of cells. 0 is no state.
pub type State = u32;

/// A cell. Its call is allowed in a state only if `owner` is that state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    /// The state that the cell belongs to; 0 for a cell that is free.
    pub owner: State,
    /// The state after the call.
    pub next: State,
}
