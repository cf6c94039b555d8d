//! The syntax of strace's lines, of every version and with any options.
//!
//! A file here takes bytes and says what stands in them. It knows one line at a time: no thread, no
//! log, no event. It knows the table of system calls, and nothing above it.

pub(crate) mod args;
pub(crate) mod body;
pub(crate) mod colour;
pub(crate) mod columns;
pub(crate) mod dispositions;
pub(crate) mod ending;
pub(crate) mod lines;
pub(crate) mod names;
pub(crate) mod notes;
pub(crate) mod output;
pub(crate) mod scan;
pub(crate) mod simple_line;
