//! The tree itself: what its files may depend on, what they are called, and what they name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod escaped;
#[cfg(feature = "kernel")]
mod headers;
mod paths;
mod rooms;
mod words;
