//! Policies in the kernel's maps: under which numbers, in which rows, on which terms.
//! Lives here: the set of policies, its changes, and the maps that hold them.
//! May know: `bpf`, `identity`, `lsm`, and the crate's policies and tables.

pub(crate) mod effective_policy;
pub mod fill;
pub(crate) mod maps;
pub(crate) mod policy_set;
pub(crate) mod selection;
