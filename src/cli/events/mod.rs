//! The one type of everything that is printed as an event, and its renderers: text, JSON, journald.
//! Besides, the events that several subcommands make: violations, and what an agent says.
//! It may know `format`, and the layers below the command line; it prints nothing itself.

#[cfg(feature = "kernel")]
pub(crate) mod enforcement;
pub(crate) mod event;
#[cfg(feature = "kernel")]
pub(crate) mod journald;
pub(crate) mod json;
#[cfg(feature = "kernel")]
pub(crate) mod kernel_violation;
#[cfg(feature = "kernel")]
pub(crate) mod text;
#[cfg(feature = "kernel")]
pub(crate) mod totals;
pub(crate) mod violation;
