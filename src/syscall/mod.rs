//! The alphabet: names and numbers of system calls and signals, and the symbols made of them.
//!
//! This layer knows none but [`text`](crate::text). The table of calls is made at build time
//! (build.rs) from `x86_64.tbl`, which lies here, and the system's `unistd_64.h`. A number that
//! neither defines is written `syscall_1000`.

mod abi;
pub mod nr;
mod signal;
mod symbol;
mod table;

pub use abi::Abi;
pub use signal::{signal_name, signal_number, SIGNAL_MAX};
pub use symbol::{ParseSymbolError, Symbol};
pub use table::{name, names, number, of_function, CallName};
