//! Where a denied call is refused.
//! Lives here: the table of enforcement points, and the programs that are attached to them.
//! May know: `bpf`, `support`, the levels, the table's columns, and the names of system calls.

pub(crate) mod attach;
pub(crate) mod enforcement_points;
pub(crate) mod switches;
