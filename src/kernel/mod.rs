//! Load, fill, attach, poll: the only code that knows libbpf, and the only hand-written unsafe.

mod abi;
mod adopt;
mod array;
mod background;
mod bind;
mod choke;
mod enforcer;
mod error;
mod event;
pub mod fill;
mod functions;
mod hooks;
mod identity;
mod inode;
pub mod learned;
mod level;
mod lineup;
mod live;
mod log;
mod manifest;
mod maps;
mod names;
mod objects;
mod outlet;
mod pinned;
mod pins;
mod preemption;
pub mod probe;
mod recorder;
mod ring;
mod skeleton;
mod stack;
mod tallies;
mod template;
mod terms;
mod unwind;
mod veto;
mod ways;

pub use enforcer::{Enforcer, Options};
pub use error::KernelError;
pub use event::{Kind, Totals, Violation};
pub use level::Level;
pub use live::{Live, Origin};
pub use manifest::{Manifest, Watched};
pub use pinned::{Named, Pinned};
pub use pins::{Agency, Pins};
pub use recorder::{RecordOptions, RecordTotals, Recorder, Target};
pub use stack::Snapshot;
pub use tallies::{ByReason, Repeated};
pub use unwind::{StackFrame, Unwinder};
pub use ways::Ways;

/// The wire types, made from `bpf/sysfsm.h` by the skeleton.
pub use skeleton::types;
