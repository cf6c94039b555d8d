//! Where a denied call is refused.
//! Lives here: the table of enforcement points, the functions of calls, the programs that are
//! attached to both, and what they leave open.
//! May know: `bpf`, `support`, the levels, the table's columns, and the names of system calls.

pub(crate) mod attach;
pub(crate) mod call_functions;
pub(crate) mod enforcement_points;
pub(crate) mod switches;
pub(crate) mod uncovered;
