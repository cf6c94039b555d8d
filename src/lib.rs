//! sysfsm learns which system call may follow which in a program, and has the Linux kernel hold the
//! program to it.
//!
//! The layers, lowest first; a lower one never knows a higher one:
//!
//! | module | what it does |
//! |---|---|
//! | `parallel` | work on all processors |
//! | [`text`] | text of others: escaped for people, whole in JSON |
//! | [`ownership`] | who could change what a path leads to |
//! | [`syscall`] | the table: name ↔ number, and the symbols |
//! | [`event`] | what a thread did |
//! | [`trace`] | strace lines → events |
//! | [`machine`] | frames, step, learn, merge |
//! | [`policy`] | the JSON format |
//! | [`explain`] | what a policy knows of a violation |
//! | [`export`] | policies in the formats of others |
//! | [`show`] | a policy as a picture: Graphviz, SVG, a page |
//! | [`review`] | violations that were watched → a wider policy |
//! | [`table`] | machine → dense tables |
//! | `kernel` | load, fill, attach, poll |
//! | [`cli`] | one file a subcommand |

pub mod cli;
pub mod event;
pub mod explain;
pub mod export;
#[cfg(feature = "kernel")]
#[allow(unsafe_code)] // The only layer that may: it talks to the kernel.
pub mod kernel;
pub mod machine;
pub mod ownership;
mod parallel;
pub mod policy;
pub mod review;
pub mod show;
pub mod syscall;
pub mod table;
pub mod text;
pub mod trace;
