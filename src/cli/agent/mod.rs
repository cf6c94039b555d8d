//! What a process needs that goes on until it is told to end: signals, child, directories, metrics.
//! It may know `io` and `policies`, and the kernel layer.
//! It prints no event, and knows no subcommand.

pub(crate) mod child;
pub(crate) mod directories;
pub(crate) mod metrics;
pub(crate) mod service;
pub(crate) mod signals;
