//! The policy and its JSON format (docs/policy-format.md): read, written, merged, compared.
//! Pure but for `load`, which reads files.
//! It may know the machine and the system-call layer.

mod action;
pub(crate) mod cgroup;
mod definition;
mod diff;
mod load;
mod merge;
pub(crate) mod parse;
mod selector;
mod write;

pub use action::{Action, Children};
pub use cgroup::cgroup_path;
pub use definition::Policy;
pub use diff::{Change, Difference};
pub use load::{load, load_parts, LoadError, Loaded};
pub use merge::MergeError;
pub use parse::document::parse;
pub use parse::problem::Problem;
pub use selector::{ends_in, relative_tail, PolicySelector, ANY_BINARY};
