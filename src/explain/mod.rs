//! What a policy knows of a violation, in words.
//! Pure: a violation and a policy go in, an [`Explanation`] comes out; a command puts it into
//! sentences.
//! It may know the policy layer and those below.

mod args;
mod explanation;
mod violation;
mod words;

pub use args::Arg;
pub use explanation::{explain, Explanation, Mismatch, Remedy, Step};
pub use violation::{NoViolation, Violation};
