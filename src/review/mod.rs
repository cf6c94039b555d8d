//! From watching to enforcing (docs/review.md): violations that were seen while a program was only
//! watched, what an operator decides about each, and what that makes of the policy.
//! Pure: it reads and writes texts, no files. It may know the policy layer and those below.

mod entry;
mod file;
mod glob;
mod log;
mod session;
#[cfg(test)]
pub(crate) mod test_log;

pub use entry::{Decision, Entry, Frame, Key, Sample};
pub use file::{parse, to_value, ReviewLogError};
pub use glob::{Glob, GlobError};
pub use log::{DepthMismatch, Part, ReviewLog};
pub use session::{Question, ReviewSession};
