//! Numbers of the calls that sysfsm knows by itself (x86-64 ABI, stable).

/// `mmap`.
pub const MMAP: u32 = 9;
/// `brk`.
pub const BRK: u32 = 12;
/// `rt_sigaction`: sets what a signal does.
pub const RT_SIGACTION: u32 = 13;
/// `rt_sigreturn`: ends the frame of a signal handler.
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
/// `restart_syscall`: the kernel itself has an interrupted call go on ([`is_kernels`]).
pub const RESTART_SYSCALL: u32 = 219;
/// `exit_group`: ends a process.
pub const EXIT_GROUP: u32 = 231;
/// `execveat`.
pub const EXECVEAT: u32 = 322;
/// `uretprobe`: the end of a function that is traced ([`is_kernels`]).
pub const URETPROBE: u32 = 335;
/// `uprobe`: a place in the program that is traced ([`is_kernels`]).
pub const UPROBE: u32 = 336;
/// `clone3`.
pub const CLONE3: u32 = 435;

/// Whether the kernel itself has programs make this call, so that it is no symbol (semantics,
/// rule 4).
#[must_use]
pub const fn is_kernels(number: u32) -> bool {
    matches!(number, RESTART_SYSCALL | URETPROBE | UPROBE)
}
