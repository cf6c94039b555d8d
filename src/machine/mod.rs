//! The automaton over system calls: its frames, its one step, and how it is learned and replayed.
//!
//! [`Judge::call`] is the executable specification of docs/semantics.md. The BPF step must agree
//! with it, and a test drives both with the same random events. This layer knows events and
//! symbols; it knows no log, no policy file and no kernel.

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
pub use coverage::{Coverage, NoEstimate, Probability, CONFIDENCE};
pub use frames::{Delivery, Frames, Stack, MAX_HANDLERS};
pub use judge::{Judge, Reaction, Reason, State, Verdict};
pub use learn::{Learned, Learner};
pub use replay::{BoundMachine, Finding, Replay};
