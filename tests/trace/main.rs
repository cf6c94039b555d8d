//! Logs of strace, and what is learned from them: lines, whole logs, random ones and broken ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod fuzz;
mod golden;
mod instructions;
mod lines;
mod mutations;
mod options;
mod properties;
