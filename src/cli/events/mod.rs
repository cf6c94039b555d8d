//! What is printed while policies are enforced: events as text, as JSON and as journal entries.
//! The files here know the kernel's findings, and how a line is written.
//! They may know `io` and `policies`, and nothing of agents or subcommands.

#[cfg(feature = "kernel")]
pub(crate) mod journal;
#[cfg(feature = "kernel")]
pub(crate) mod printer;
#[cfg(feature = "kernel")]
pub(crate) mod sink;
#[cfg(feature = "kernel")]
pub(crate) mod totals;
pub(crate) mod violation;
