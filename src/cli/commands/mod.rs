//! One file a subcommand: its arguments, and what it does with them.
//! A subcommand may know all other rooms of the command line, but no other subcommand.
//! What two subcommands share stands in a room below, or in `pinned`.

pub(crate) mod check;
pub(crate) mod diff;
#[cfg(feature = "kernel")]
pub(crate) mod doctor;
#[cfg(feature = "kernel")]
pub(crate) mod enforce;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod extract;
pub(crate) mod generate;
pub(crate) mod merge;
#[cfg(feature = "kernel")]
pub(crate) mod pinned;
#[cfg(feature = "kernel")]
pub(crate) mod record;
#[cfg(feature = "kernel")]
pub(crate) mod reload;
pub(crate) mod review;
pub(crate) mod show;
#[cfg(feature = "kernel")]
pub(crate) mod status;
#[cfg(feature = "kernel")]
pub(crate) mod stop;
#[cfg(feature = "kernel")]
pub(crate) mod top;
#[cfg(feature = "kernel")]
pub(crate) mod unwind_stacks;
