//! System calls by their bare instructions, so that nothing comes between the marker and the
//! forbidden call.

use std::arch::naked_asm;

/// Through which entry of the kernel a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// `syscall`
    Native,
    /// `int 0x80`: the 32-bit table; each argument is cut to 32 bits.
    I386,
}

/// A call's number and its arguments.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub number: i64,
    pub arguments: [i64; 6],
}

/// Makes the marker call `getpriority`, the call, and the marker call `getpgid`; returns the call's
/// own result, which is the negative error number where it failed.
pub fn between_markers(abi: Abi, call: &Call) -> i64 {
    // SAFETY: the functions touch only what the call itself touches, which is what its attack is
    // about: memory that the attacker has set apart, or nothing.
    unsafe {
        match abi {
            Abi::Native => marked_native(call),
            Abi::I386 => marked_i386(call),
        }
    }
}

/// A lawful call, with no marker.
pub fn lawful(number: i64, arguments: [i64; 6]) -> i64 {
    // SAFETY: as above.
    unsafe { bare(&Call { number, arguments }) }
}

/// # Safety
/// The call must be sound in this process.
#[unsafe(naked)]
unsafe extern "C" fn bare(call: *const Call) -> i64 {
    naked_asm!(
        "mov rax, [rdi]",
        "mov rsi, [rdi + 16]",
        "mov rdx, [rdi + 24]",
        "mov r10, [rdi + 32]",
        "mov r8, [rdi + 40]",
        "mov r9, [rdi + 48]",
        "mov rdi, [rdi + 8]",
        "syscall",
        "ret",
    )
}

/// # Safety
/// The call must be sound in this process.
#[unsafe(naked)]
unsafe extern "C" fn marked_native(call: *const Call) -> i64 {
    naked_asm!(
        "push rbx",
        "push r12",
        "mov r12, rdi",
        "mov eax, 140", // getpriority(PRIO_PROCESS, 0)
        "xor edi, edi",
        "xor esi, esi",
        "syscall",
        "mov rax, [r12]",
        "mov rdi, [r12 + 8]",
        "mov rsi, [r12 + 16]",
        "mov rdx, [r12 + 24]",
        "mov r10, [r12 + 32]",
        "mov r8, [r12 + 40]",
        "mov r9, [r12 + 48]",
        "syscall",
        "mov rbx, rax",
        "mov eax, 121", // getpgid(0)
        "xor edi, edi",
        "syscall",
        "mov rax, rbx",
        "pop r12",
        "pop rbx",
        "ret",
    )
}

/// # Safety
/// The call must be sound in this process.
#[unsafe(naked)]
unsafe extern "C" fn marked_i386(call: *const Call) -> i64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "mov r12, rdi",
        "mov eax, 140",
        "xor edi, edi",
        "xor esi, esi",
        "syscall",
        "mov eax, [r12]",
        "mov ebx, [r12 + 8]",
        "mov ecx, [r12 + 16]",
        "mov edx, [r12 + 24]",
        "mov esi, [r12 + 32]",
        "mov edi, [r12 + 40]",
        "mov ebp, [r12 + 48]",
        "int 0x80",
        "movsxd rbx, eax",
        "mov eax, 121",
        "xor edi, edi",
        "syscall",
        "mov rax, rbx",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}
