//! Recording: the kernel collects transitions, and machines are made of them.
//! Lives here: the recorder, its machines, the names of the programs that it has seen, and who started
//! their runs.
//! May know: `bpf`, `identity`, `support`, `policies`, `events`, `hooks` and `adopt`.

pub mod learned;
pub(crate) mod load;
pub(crate) mod names;
pub(crate) mod recorder;
pub(crate) mod running;
pub(crate) mod starters;
pub(crate) mod target;
