//! The threads of one log: which there are, who made whom, which signals run a handler, and which
//! events have to wait.
//!
//! A file here knows what the syntax found, and emits events. It knows no bytes and no input.

pub(crate) mod children;
pub(crate) mod delay;
pub(crate) mod exec;
pub(crate) mod pool;
pub(crate) mod report;
pub(crate) mod signals;
pub(crate) mod speaker;
pub(crate) mod state;
pub(crate) mod thread;
