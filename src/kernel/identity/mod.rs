//! Which program a process runs: files, paths and names as the kernel compares them.
//! Lives here: a binary's identities, the numbers of files, the maps of identities, and how to look
//! at what untrusted processes claim.
//! May know: `bpf`.

pub(crate) mod binaries;
pub(crate) mod inode;
pub(crate) mod lookups;
pub(crate) mod maps;
pub(crate) mod processes;
