//! What several subcommands say of policies: how complete they are, and what they warn of.
//! It may know `format`, `events` and `io`, and the layers below the command line.
//! It knows no subcommand.

pub(crate) mod coverage;
pub(crate) mod explanation;
pub(crate) mod learned;
pub(crate) mod selector;
#[cfg(feature = "kernel")]
pub(crate) mod started;
#[cfg(feature = "kernel")]
pub(crate) mod trusted;
pub(crate) mod warnings;
#[cfg(feature = "kernel")]
pub(crate) mod watched;
