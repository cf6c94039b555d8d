//! Enforcement from policies to attached programs.
//! Lives here: loading, and the agent, which changes the policies of a pinned set in place.
//! May know: all of `kernel` but `record` and `doctor`.

pub(crate) mod adoption;
pub(crate) mod agent;
pub(crate) mod changeable_set;
pub(crate) mod enforcer;
pub(crate) mod load;
