//! strace lines → events. Reads a `BufRead`; opens nothing, prints nothing.

mod event;

pub use event::{Abi, Event, EventKind, Place, Tid};
