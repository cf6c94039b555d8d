//! What the running kernel offers, found out by trying.
//! Lives here: features, the mechanisms that deny a call, preemption at tracepoints, foreign ABIs.
//! May know: `bpf`, `identity` and the levels.

pub(crate) mod deny_mechanisms;
pub(crate) mod foreign_abi;
pub(crate) mod preemption;
pub(crate) mod privileges;
pub(crate) mod self_test;
pub(crate) mod trials;
