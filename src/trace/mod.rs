//! strace lines → events. Reads a `BufRead`; opens nothing, prints nothing.
//!
//! A log is cut into pieces ([`pieces`]), of whose ordinary lines several processors tell what they
//! say ([`ordinary`]). Any other line is cut ([`lines`]), its columns told from its body
//! ([`columns`], [`body`]), the body's call from its result ([`ending`]). Then the threads' lives
//! say what it means: who made whom ([`children`]), which signals run a handler ([`signals`]),
//! which events must wait ([`hold`]).

mod args;
mod body;
mod children;
mod colour;
mod columns;
mod dispositions;
mod ending;
mod exec;
mod family;
mod hold;
mod life;
mod lines;
mod names;
mod notes;
mod ordinary;
mod pieces;
mod pool;
mod reader;
mod report;
mod scan;
mod signals;
mod speaker;
mod state;

pub use family::Member;
pub use reader::Reader;
pub use report::{Report, SetAside, Tally, Warning};

/// Where events go.
type Sink<'a> = &'a mut dyn FnMut(crate::event::Event);
