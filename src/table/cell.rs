//! Cells and states: what the array of rows is made of.

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
