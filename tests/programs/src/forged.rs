//! `rt_sigreturn` as an attacker makes it: with a frame of his own, from which no handler began.

use std::arch::asm;
use std::mem::{offset_of, zeroed};

/// `struct sigcontext` of the kernel (arch/x86/include/uapi/asm/sigcontext.h).
#[repr(C)]
pub struct Registers {
    r8_to_r11: [u64; 4],
    r12_to_r15: [u64; 4],
    /// The first argument of a function there.
    pub di: u64,
    si: u64,
    bp: u64,
    bx: u64,
    dx: u64,
    ax: u64,
    cx: u64,
    /// The stack pointer to go on with.
    pub sp: u64,
    /// The instruction to go on at.
    pub ip: u64,
    flags: u64,
    segments: [u16; 4],
    fault: [u64; 4],
    fpstate: u64,
    reserved: [u64; 8],
}

/// `struct ucontext` of the kernel, with the mask of signals that follows it.
#[repr(C)]
pub struct Frame {
    flags: u64,
    link: u64,
    stack: [u64; 3],
    /// What is restored.
    pub registers: Registers,
    mask: u64,
}

/// `SS_DISABLE`: no alternate stack.
const NO_ALTERNATE: u64 = 2;

/// A frame of the 64-bit ABI that blocks no signal.
#[must_use]
pub fn frame() -> Frame {
    // SAFETY: integers only.
    let mut frame: Frame = unsafe { zeroed() };
    frame.stack[1] = NO_ALTERNATE;
    frame.registers.segments = [0x33, 0, 0, 0x2b];
    frame.registers.flags = 0x202;
    frame
}

/// Returns from a handler that never was, to the instruction after this call.
#[inline(never)]
pub fn forged_return() {
    let mut frame = frame();
    // SAFETY: what the kernel restores is what is there now.
    unsafe {
        asm!(
            "lea rax, [rip + 2f]",
            "mov [rdi + {ip}], rax",
            "mov [rdi + {sp}], rsp",
            "mov [rdi + {bp}], rbp",
            "mov [rdi + {bx}], rbx",
            "mov [rdi + {r12}], r12",
            "mov [rdi + {r12} + 8], r13",
            "mov [rdi + {r12} + 16], r14",
            "mov [rdi + {r12} + 24], r15",
            "mov rsp, rdi",
            "mov eax, 15",
            "syscall",
            "ud2",
            "2:",
            ip = const offset_of!(Frame, registers) + offset_of!(Registers, ip),
            sp = const offset_of!(Frame, registers) + offset_of!(Registers, sp),
            bp = const offset_of!(Frame, registers) + offset_of!(Registers, bp),
            bx = const offset_of!(Frame, registers) + offset_of!(Registers, bx),
            r12 = const offset_of!(Frame, registers) + offset_of!(Registers, r12_to_r15),
            in("rdi") &raw mut frame,
            clobber_abi("C"),
        );
    }
}

/// Goes on elsewhere by a forged return; does not come back.
///
/// # Safety
/// There is code at `ip`, which finds its stack at `sp`.
pub unsafe fn go_on(ip: u64, sp: u64) -> ! {
    let mut frame = frame();
    frame.registers.ip = ip;
    frame.registers.sp = sp;
    // SAFETY: the caller says so.
    unsafe {
        asm!("mov rsp, rdi", "mov eax, 15", "syscall", "ud2", in("rdi") &raw mut frame,
             options(noreturn));
    }
}

/// Leaves a handler as `siglongjmp` does: without `rt_sigreturn`. The caller has set the mask.
///
/// # Safety
/// There is code at `ip`, which finds its stack at `sp`.
pub unsafe fn jump(ip: u64, sp: u64) -> ! {
    // SAFETY: the caller says so.
    unsafe {
        asm!("mov rsp, rsi", "jmp rdi", in("rdi") ip, in("rsi") sp, options(noreturn));
    }
}
