//! Whether the kernel takes calls of foreign ABIs, found out by making one in a child.

use nix::libc::_exit;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult};
use std::arch::asm;

/// A way to call the kernel besides the 64-bit one.
pub(crate) struct Abi {
    pub name: &'static str,
    /// Asks for the process's id in this way.
    getpid: fn() -> i64,
}

pub(crate) const I386: Abi = Abi {
    name: "32-bit",
    getpid: || {
        let result: i32;
        // SAFETY: `getpid` of the 32-bit table (20) reads and writes no memory. Where the gate is
        // closed the instruction faults, which ends the child only.
        unsafe { asm!("int $0x80", inlateout("eax") 20 => result, options(att_syntax, nostack)) };
        result.into()
    },
};

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
    /// Whether a call comes through.
    pub(crate) fn works(&self) -> bool {
        // SAFETY: the child makes one call and ends; it allocates and frees nothing.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                let status = i32::from((self.getpid)() <= 0);
                // SAFETY: ends the child without what the parent has left to do at its exit.
                unsafe { _exit(status) }
            }
            Ok(ForkResult::Parent { child }) => {
                matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0)))
            }
            Err(_) => false,
        }
    }
}
