//! BPF itself: the skeletons, maps, ring buffers, links and pinned objects of any program.
//! Lives here: every use of libbpf and bpf(2), and the unsafe code that they need.
//! May know: the errors; nothing of policies, binaries or events.

pub(crate) mod array;
pub(crate) mod background;
pub(crate) mod bpffs;
pub(crate) mod entries;
pub(crate) mod functions;
pub(crate) mod hash;
pub(crate) mod log;
pub(crate) mod map_list;
pub(crate) mod objects;
pub(crate) mod ring;
pub(crate) mod skeleton;
pub(crate) mod template;
pub(crate) mod uncharged;
pub(crate) mod wire;
