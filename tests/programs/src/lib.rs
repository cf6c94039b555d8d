//! What the programs of this crate share with the tests and benchmarks that start them.

#![allow(missing_docs, unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

pub mod battery;
pub mod behaviour;
pub mod forged;
pub mod load;
pub mod random;
pub mod ring;
pub mod walk;
