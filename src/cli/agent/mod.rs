//! What a process needs that goes on until it is told to end: signals, child, directories, metrics,
//! and the printer of its events.
//! It may know `events`, `io` and `policies`, and the kernel layer; it knows no subcommand.

pub(crate) mod child;
pub(crate) mod directories;
pub(crate) mod journal;
pub(crate) mod metrics;
pub(crate) mod printer;
pub(crate) mod service;
pub(crate) mod signals;
