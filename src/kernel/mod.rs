//! Load, fill, attach, poll: the only code that knows libbpf, and the crate's only hand-written
//! unsafe.
//! Lives here: everything between the policies and the running kernel, a folder a mechanism.
//! May know: `machine`, `policy`, `syscall` and `table`; never the log reader or the CLI.

pub(crate) mod adopt;
pub(crate) mod bpf;
pub(crate) mod denials;
pub mod doctor;
pub(crate) mod enforce;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod header;
pub(crate) mod hooks;
pub(crate) mod identity;
pub(crate) mod level;
pub(crate) mod lsm;
pub(crate) mod options;
pub(crate) mod pinned;
pub(crate) mod policies;
pub(crate) mod record;
pub(crate) mod support;
pub(crate) mod unwind;

pub use denials::Denials;
pub use enforce::agent::{Agent, Origin};
pub use enforce::enforcer::Enforcer;
pub use error::KernelError;
pub use events::counts::{ByReason, Repeated};
pub use events::stack::Snapshot;
pub use events::totals::{Total, Totals};
pub use events::violation::{Kind, Violation};
pub use level::Level;
pub use lsm::enforcement_points::{fully_denied, is_hooked};
pub use lsm::uncovered::{uncovered, uncovered_names, Uncovered};
pub use options::Options;
pub use pinned::contexts::Contexts;
pub use pinned::manifest::{Manifest, Watched};
pub use pinned::pins::{AgentLock, Pins};
pub use pinned::set::Pinned;
pub use pinned::usage::Usage;
pub use policies::effective_policy::EffectivePolicy;
pub use policies::loaded_policy::LoadedPolicy;
pub use policies::sizes::Sizes;
pub use policies::step_maps;
pub use record::learned;
pub use record::recorder::Recorder;
pub use record::starters::Starters;
pub use record::target::{Only, RecordOptions, RecordTotals, Target};
pub use support::deny_mechanisms::DenyMechanisms;
pub use support::self_test::Mechanism;
pub use unwind::helper::{run as run_unwind_helper, SUBCOMMAND as UNWIND_SUBCOMMAND};
pub use unwind::unwinder::{StackFrame, Unwinder, Unwound};

/// The wire types, made from `bpf/sysfsm.h` by the skeleton.
pub use bpf::skeleton::types;
