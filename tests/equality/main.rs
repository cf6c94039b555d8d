//! What the kernel's side computes equals what the Rust side computes: the step that judges, and the
//! step that records.
//!
//! Needs root and a kernel that runs BPF; fails where it cannot run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

mod judging;
mod recording;
