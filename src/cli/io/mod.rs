//! What goes in and out of every subcommand: logs, files, reports, errors, times.
//! The lowest room of the command line.
//! It may know the layers below the command line, and no other room of it.

pub(crate) mod failure;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod report;
#[cfg(feature = "kernel")]
pub(crate) mod time;
