//! What the kernel reports while it enforces: violations, counts, stacks.
//! Lives here: the way from bytes of the ring buffer and of the counting maps to Rust types.
//! May know: `bpf`, `hooks`, `policies`, the errors; machines, policies and tables of the crate.

pub(crate) mod counts;
pub(crate) mod stack;
pub(crate) mod stream;
pub(crate) mod totals;
pub(crate) mod violation;
