//! Enforcement that outlives its loader: sets of BPF objects, pinned in a directory.
//! Lives here: the directory of sets, a set's manifest, and what can be asked of a set.
//! May know: `bpf`, `identity`, `support`, `hooks`, `policies` and `events`; not how a set is loaded.

pub(crate) mod contexts;
pub(crate) mod manifest;
pub(crate) mod pins;
pub(crate) mod predecessor;
pub(crate) mod self_test;
pub(crate) mod set;
pub(crate) mod usage;
