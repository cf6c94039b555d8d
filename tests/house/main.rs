//! The tree itself: what its files may depend on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(feature = "kernel")]
mod headers;
