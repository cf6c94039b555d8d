//! What the levels above `kill` promise besides the battery: in the guests of tests/vm, whose kernels reach them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

mod denial;
mod escape;
#[allow(dead_code)]
#[path = "../kernel/lab.rs"]
mod lab;
#[path = "../kernel/battery/policy.rs"]
mod policy;
mod protection;
