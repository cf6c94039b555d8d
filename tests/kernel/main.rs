//! Enforcement, on this machine's kernel: real programs live, attacks die, and nothing else is
//! touched. And the agent: its service, its events, its metrics, and what it does when a call fails.
//!
//! Needs root, strace and the programs of `make deps`; fails where it cannot run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

mod adoption;
mod attacks;
mod binding;
mod cgroups;
mod claims;
mod crafted;
mod endurance;
mod fallbacks;
mod families;
mod faults;
mod flood;
mod handlers;
mod hostile;
mod identity;
mod journal;
mod kernels_calls;
mod learning;
mod limits;
mod load;
mod memory;
mod metrics;
mod pinned;
mod private_pins;
mod processes;
mod programs;
mod record;
mod refusals;
mod reloads;
mod service;
mod shared_directories;
mod signals;
mod stacks;
mod top;
mod trusted_policies;
mod upgrade;
mod verifier;
