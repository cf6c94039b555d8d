//! Enforcement, on this machine's kernel: real programs live, attacks die, and nothing else is
//! touched.
//!
//! Needs root, strace and the programs of `make deps`; fails where it cannot run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

mod attacks;
mod binding;
mod cgroups;
mod endurance;
mod identity;
// tests/veto needs more of it.
#[allow(dead_code)]
mod lab;
mod learning;
mod load;
#[path = "../common/more_ids.rs"]
mod more_ids;
mod pinned;
#[path = "../common/place.rs"]
mod place;
mod processes;
mod programs;
// tests/equality.rs needs more of it.
#[allow(dead_code)]
#[path = "../common/random.rs"]
mod random;
mod record;
mod reloads;
#[path = "../common/shell.rs"]
mod shell;
mod spares;
mod upgrade;
mod verifier;
