//! The alphabet: which system call has which number, and how a symbol is written.
//!
//! The table is made at build time from the system's `unistd_64.h`; it is the only one, and
//! `extract`, `check` and `enforce` share it. A number that the header does not know is written
//! `syscall_462`.

mod abi;
mod signal;
mod symbol;
mod table;

pub use abi::Abi;
pub use signal::{signal_name, signal_number, SIGNAL_MAX};
pub use symbol::{ParseSymbolError, Symbol};
pub use table::{name, number, CallName};

/// Numbers that the semantics know by themselves (x86-64 ABI, stable).
pub mod nr {
    /// `rt_sigreturn`: ends a signal handler's frame.
    pub const RT_SIGRETURN: u32 = 15;
    /// `clone`.
    pub const CLONE: u32 = 56;
    /// `fork`.
    pub const FORK: u32 = 57;
    /// `vfork`.
    pub const VFORK: u32 = 58;
    /// `execve`: also the first symbol of every new program.
    pub const EXECVE: u32 = 59;
    /// `exit`: ends a thread.
    pub const EXIT: u32 = 60;
    /// `restart_syscall`: the kernel's own, no symbol.
    pub const RESTART_SYSCALL: u32 = 219;
    /// `exit_group`: ends a process.
    pub const EXIT_GROUP: u32 = 231;
    /// `execveat`.
    pub const EXECVEAT: u32 = 322;
    /// `clone3`.
    pub const CLONE3: u32 = 435;
}
