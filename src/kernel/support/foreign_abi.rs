//! Whether the kernel takes calls of foreign ABIs, found out by making one in a child.

use nix::libc::_exit;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult};
use std::arch::asm;

/// An ABI for system calls besides the 64-bit one.
pub(crate) struct Abi {
    /// As in "32-bit calls".
    pub name: &'static str,
    /// Makes the call `getpid` of the ABI.
    getpid: fn() -> i64,
}

/// The calls of `int $0x80`.
pub(crate) const I386: Abi = Abi {
    name: "32-bit",
    getpid: || {
        let result: i32;
        // SAFETY: `getpid` of the 32-bit table (20) reads and writes no memory. Where the kernel
        // has no such calls the instruction faults, which ends the child only.
        unsafe { asm!("int $0x80", inlateout("eax") 20 => result, options(att_syntax, nostack)) };
        result.into()
    },
};

/// The calls with `__X32_SYSCALL_BIT`.
pub(crate) const X32: Abi = Abi {
    name: "x32",
    getpid: || {
        let result: i64;
        // SAFETY: `getpid` (39) with __X32_SYSCALL_BIT reads and writes no memory.
        unsafe {
            asm!("syscall", inlateout("rax") 0x4000_0027_i64 => result, out("rcx") _, out("r11") _, options(nostack));
        };
        result
    },
};

impl Abi {
    /// Whether the kernel takes a call of this ABI.
    pub(crate) fn works(&self) -> bool {
        // SAFETY: the child makes one call and ends. It allocates and frees nothing.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                let status = i32::from((self.getpid)() <= 0);
                // SAFETY: the child ends without the exit handlers, which are the parent's to run.
                unsafe { _exit(status) }
            }
            Ok(ForkResult::Parent { child }) => {
                matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0)))
            }
            Err(_) => false,
        }
    }
}
