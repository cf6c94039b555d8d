//! The command line, the only layer that prints.
//! Its rooms, lowest first: format, events, io, policies, review, agent, top, man, commands,
//! `command_line`.
//! It may know every other layer; no other layer may know it.

// This is the layer that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "kernel")]
pub(crate) mod agent;
pub(crate) mod command_line;
pub(crate) mod commands;
pub(crate) mod events;
pub(crate) mod format;
pub(crate) mod io;
pub(crate) mod man;
pub(crate) mod policies;
pub(crate) mod review;
#[cfg(feature = "kernel")]
pub(crate) mod top;

pub use command_line::main;
