//! What the levels above `kill` promise, tried in the guests of tests/vm: their kernels reach them,
//! and nothing is lost when clocks are set, names changed and file systems mounted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

mod alarm;
mod battery;
mod denial;
mod escape;
mod execs;
mod functions;
mod judging_at_hooks;
mod pinned;
mod policy;
mod protection;
mod switches;
