//! Load, fill, attach, poll: the only code that knows libbpf, and the only hand-written unsafe.

mod adopt;
mod enforcer;
mod error;
mod event;
pub mod fill;
mod identity;
mod inode;
mod level;
mod log;
pub mod probe;
mod skeleton;

pub use enforcer::{Enforcer, Options};
pub use error::KernelError;
pub use event::{Totals, Violation};
pub use level::Level;

/// The wire types, made from `bpf/sysfsm.h` by the skeleton.
pub use skeleton::types;
