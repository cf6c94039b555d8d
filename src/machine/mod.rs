//! The automaton over system calls: its frames, its one step, how it is learned, merged and
//! replayed.
//!
//! [`Judge::call`] is the executable specification of docs/semantics.md. The BPF step must agree
//! with it; `tests/equality.rs` drives both with the same random events.

mod automaton;
mod context;
mod count;
mod coverage;
mod diff;
mod frames;
mod judge;
mod learn;
mod replay;
mod threads;

pub use automaton::Machine;
pub use context::{Context, Depth, DepthError, MAX_DEPTH};
pub use count::Count;
pub use coverage::{Chance, Coverage, Untold, LEVEL};
pub use frames::{Frames, MAX_FRAMES};
pub use judge::{Judge, Reaction, Reason, State, Verdict};
pub use learn::{Learned, Learner};
pub use replay::{foreign_symbol, Bound, Finding, Replay};
