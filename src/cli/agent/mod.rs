//! What a long-running subcommand needs: signals, a child, watched directories, metrics, the
//! alarm, the service manager, and the printer of its events.
//! It may know `format`, `events`, `io`, `policies` and the kernel layer, and no subcommand.

pub(crate) mod alarm;
pub(crate) mod child;
pub(crate) mod directories;
pub(crate) mod journal;
pub(crate) mod live_line;
pub(crate) mod metrics;
pub(crate) mod policy_writer;
pub(crate) mod printer;
pub(crate) mod service;
pub(crate) mod signals;
