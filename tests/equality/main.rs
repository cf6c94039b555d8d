//! What the kernel's side computes equals what the Rust side computes: the step that judges, and the
//! step that records.
//!
//! Needs root and a kernel that runs BPF; fails where it cannot run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stderr)]

use sysfsm::syscall::nr;

mod judging;
mod recording;

/// Calls that events draw from: ordinary ones, those that the semantics know, numbers without a
/// column.
const CALLS: [u32; 18] = [
    0,
    1,
    2,
    3,
    9,
    12,
    nr::CLONE,
    nr::EXECVE,
    nr::EXIT,
    nr::EXIT_GROUP,
    nr::RESTART_SYSCALL,
    nr::RT_SIGRETURN,
    nr::URETPROBE,
    nr::UPROBE,
    447,
    1023,
    5000,
    u32::MAX,
];

/// Signals that events draw from.
const SIGNALS: [u8; 4] = [1, 10, 34, 64];
