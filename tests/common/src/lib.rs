//! What the tests and the benchmarks share: the binary under test, places to try it in, and what it
//! is given to do. It knows nothing of what is asserted.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    clippy::return_self_not_must_use,
    clippy::unwrap_used
)]

#[cfg(feature = "kernel")]
pub mod bpf;
pub mod built;
pub mod command;
pub mod lab;
pub mod more_ids;
pub mod pin_directory;
pub mod shell;

pub use built::{binary, fixture};
pub use sysfsm_fixtures::random;

/// How often a test tries what may be a matter of chance. `TIMES` says otherwise, for emulated
/// machines.
///
/// # Panics
/// `TIMES` is no number.
#[must_use]
pub fn times() -> usize {
    std::env::var("TIMES").map_or(50, |times| times.parse().unwrap())
}
