//! The command line: what each command prints and writes, its exit status, and what is installed.
//!
//! Needs no root; chromium, graphviz, systemd and the other programs of `make deps`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod commands;
mod compare;
mod explain;
mod export;
mod hostile;
mod html;
mod install;
mod packaging;
mod review;
mod show;
mod threads;
