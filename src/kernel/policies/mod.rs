//! Policies in the kernel's maps: under which numbers, in which rows, with which action.
//! Lives here: the set of policies, its changes, and the maps that have it.
//! May know: `bpf`, `identity`, `lsm`, the options, and the crate's policies and tables.

pub(crate) mod effective_policy;
pub(crate) mod level_requirements;
pub(crate) mod loaded_policy;
pub(crate) mod maps;
pub(crate) mod policy_set;
pub(crate) mod saved;
pub(crate) mod selection;
pub(crate) mod sizes;
pub mod step_maps;
