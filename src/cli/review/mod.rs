//! The review log: its file, what is collected into it, and its questions on a terminal.
//! It may know `format` and `io`, and the layers below the command line.
//! It knows no subcommand.

#[cfg(feature = "kernel")]
pub(crate) mod collector;
pub(crate) mod log_file;
pub(crate) mod questions;
