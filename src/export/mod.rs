//! The depth-1 view of a policy, for those that judge each call by itself: container runtimes,
//! systemd, and programs that install a seccomp filter with seccompiler.
//! Pure: a policy goes in, a text comes out. It may know the policy layer and those below.

mod calls;
mod format;
mod oci;
mod render;
mod seccompiler;
mod systemd;

pub use format::Format;
pub use render::{export, Export};
