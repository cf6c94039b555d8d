//! The reader of policy files, a file for each part of them.
//! `document` calls `head` and `transitions`; all of them report to the list in `problem`.
//! It may know the policy's types, the machine and the system-call layer.

pub(crate) mod document;
pub(crate) mod head;
mod json;
pub(crate) mod problem;
mod transitions;
