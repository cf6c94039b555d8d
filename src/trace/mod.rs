//! strace logs → events. Reads a `BufRead`; opens nothing, prints nothing.
//!
//! Below are the syntax of a line (`syntax`) and the threads of a log (`threads`). Here they come
//! together: `chunks` cuts a log, `reader` takes its lines in, `interpret` says what they mean, and
//! `family` reads the files of one `strace -ff`. This layer knows events and the table of calls.

mod chunks;
mod family;
mod interpret;
mod log_counts;
mod reader;
mod syntax;
mod threads;

pub use family::Member;
pub use reader::Reader;
pub use threads::report::{Occurrences, Report, SetAside, Warning};
