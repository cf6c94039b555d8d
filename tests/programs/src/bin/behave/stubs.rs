//! Where the program meets the kernel: its start, its calls, its faults, the beginning and the end
//! of its handlers.
//!
//! Each stub takes the next record of its slot in one instruction, and writes it before the call.
//! Between that instruction and the call's a handler finds, in r12, the index of the record of a
//! call that is yet to be made.

use std::arch::global_asm;
use std::mem::offset_of;
use sysfsm_fixtures::behaviour::{kind, Record, Slot, NONE};

/// A call, as the stubs take it.
#[repr(C)]
pub struct Call {
    pub number: u64,
    pub arguments: [u64; 5],
    pub flags: u64,
    pub detail: u64,
    pub more: u64,
    /// How many bytes deeper than the stub's own frame the stack pointer is to be.
    pub deeper: u64,
}

/// Where `jump` goes on: the registers of whoever called `mark`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Mark {
    pub registers: [u64; 6],
    pub pointer: u64,
    /// How many handlers the task is in there, and how many of these have interrupted a call before
    /// it was made.
    pub level: u64,
    pub interrupted: u64,
}

const _: () = assert!(size_of::<Record>() == 64);

unsafe extern "C" {
    pub fn behave_call(call: *const Call, slot: *const Slot) -> i64;
    pub fn behave_int80(call: *const Call, slot: *const Slot) -> i64;
    /// Makes a task. `stack`: the end of the child's stack; 0: the creator's, in memory of its own.
    pub fn behave_clone(call: *const Call, slot: *const Slot, stack: u64) -> i64;
    /// `rt_sigreturn` from a frame.
    pub fn behave_return(call: *const Call, slot: *const Slot, frame: u64) -> !;
    /// Calls `run` with `argument`. 1: it was left by `behave_jump` to the mark. Once the mark is
    /// there `*marked` is `marks`.
    pub fn behave_mark(
        mark: *mut Mark,
        run: extern "C" fn(u64),
        argument: u64,
        marked: *mut u64,
        marks: u64,
    ) -> u64;
    pub fn behave_jump(mark: *const Mark) -> !;
    /// Goes on with `next` on another stack.
    pub fn behave_stack(argument: u64, stack: u64, next: extern "C" fn(u64) -> !) -> !;
    pub fn behave_undefined();
    pub fn behave_divide();
    pub fn behave_trap();
    pub fn behave_store(address: u64);
    pub fn behave_privileged();
    pub fn behave_no_stack();
    pub fn behave_handler();
    pub fn behave_handler_again();
}

unsafe extern "C" {
    pub static behave_call_reserved: u8;
    pub static behave_call_at: u8;
    pub static behave_int80_reserved: u8;
    pub static behave_int80_at: u8;
    pub static behave_clone_reserved: u8;
    pub static behave_clone_at: u8;
    pub static behave_return_reserved: u8;
    pub static behave_return_at: u8;
    pub static behave_faults_begin: u8;
    pub static behave_faults_end: u8;
}

// rbx: the call; r13: the slot; r12: the index of the record; r14: the record. The tag of the call
// is in r9, which none of the calls has an argument in.
global_asm!(
    ".macro behave_record",
    "mov r12d, 1",
    "xadd dword ptr [r13 + {count}], r12d",
    ".endm",
    ".macro behave_write",
    "mov eax, r12d",
    "shl rax, 6",
    "mov r14, [r13 + {records}]",
    "add r14, rax",
    "mov [r14 + {pointer}], rsp",
    "mov eax, [rbx]",
    "mov [r14 + {number}], eax",
    "mov eax, [rbx + {call_flags}]",
    "mov [r14 + {flags}], eax",
    "mov rax, [rbx + {call_detail}]",
    "mov [r14 + {detail}], rax",
    "mov rax, [rbx + {call_more}]",
    "mov [r14 + {more}], rax",
    "mov dword ptr [r14 + {pending}], {none}",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "mov [r14 + {time}], rax",
    "mov dword ptr [r14 + {kind}], {is_call}",
    "mov r9, [r13 + {tag}]",
    "or r9, r12",
    ".endm",
    ".macro behave_arguments",
    "mov rax, [rbx]",
    "mov rdi, [rbx + 8]",
    "mov rsi, [rbx + 16]",
    "mov rdx, [rbx + 24]",
    "mov r10, [rbx + 32]",
    "mov r8, [rbx + 40]",
    ".endm",
    ".macro behave_save",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov rbp, rsp",
    "mov rbx, rdi",
    "mov r13, rsi",
    ".endm",
    ".macro behave_restore",
    "mov rsp, rbp",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    ".endm",
    ".globl behave_call, behave_call_reserved, behave_call_at",
    "behave_call:",
    "behave_save",
    "sub rsp, [rbx + {call_deeper}]",
    "behave_record",
    "behave_call_reserved:",
    "behave_write",
    "behave_arguments",
    "behave_call_at:",
    "syscall",
    "mov dword ptr [r14 + {done}], 1",
    "mov [r14 + {result}], rax",
    "behave_restore",
    ".globl behave_int80, behave_int80_reserved, behave_int80_at",
    "behave_int80:",
    "behave_save",
    "behave_record",
    "behave_int80_reserved:",
    "behave_write",
    "mov eax, [rbx]",
    "xor ebx, ebx",
    "xor ecx, ecx",
    "behave_int80_at:",
    "int 0x80",
    "mov dword ptr [r14 + {done}], 1",
    "mov [r14 + {result}], rax",
    "behave_restore",
    ".globl behave_clone, behave_clone_reserved, behave_clone_at",
    "behave_clone:",
    "behave_save",
    "mov r15, rdx",
    "behave_record",
    "behave_clone_reserved:",
    "behave_write",
    "behave_arguments",
    "behave_clone_at:",
    "syscall",
    "test rax, rax",
    "jz 1f",
    "mov dword ptr [r14 + {done}], 1",
    "mov [r14 + {result}], rax",
    "0:",
    "behave_restore",
    "1:",
    "test r15, r15",
    "jz 0b",
    "mov rsp, r15",
    "mov rdi, r15",
    "xor ebp, ebp",
    "call {born}",
    "ud2",
    ".globl behave_return, behave_return_reserved, behave_return_at",
    "behave_return:",
    "behave_save",
    "mov rsp, rdx",
    "behave_record",
    "behave_return_reserved:",
    "behave_write",
    "mov eax, 15",
    "behave_return_at:",
    "syscall",
    "ud2",
    ".globl behave_mark, behave_jump",
    "behave_mark:",
    "mov [rdi], rbx",
    "mov [rdi + 8], rbp",
    "mov [rdi + 16], r12",
    "mov [rdi + 24], r13",
    "mov [rdi + 32], r14",
    "mov [rdi + 40], r15",
    "mov [rdi + 48], rsp",
    "mov [rcx], r8",
    "sub rsp, 8",
    "mov rdi, rdx",
    "call rsi",
    "add rsp, 8",
    "xor eax, eax",
    "ret",
    "behave_jump:",
    "mov rbx, [rdi]",
    "mov rbp, [rdi + 8]",
    "mov r12, [rdi + 16]",
    "mov r13, [rdi + 24]",
    "mov r14, [rdi + 32]",
    "mov r15, [rdi + 40]",
    "mov rsp, [rdi + 48]",
    "mov eax, 1",
    "ret",
    ".globl behave_stack",
    "behave_stack:",
    "mov rsp, rsi",
    "xor ebp, ebp",
    "call rdx",
    "ud2",
    // Faults: a handler goes on at rbx, and puts the stack pointer back from r12.
    ".macro behave_fault",
    "push rbx",
    "push r12",
    "mov r12, rsp",
    "lea rbx, [rip + 1f]",
    ".endm",
    ".macro behave_go_on",
    "1:",
    "pop r12",
    "pop rbx",
    "ret",
    ".endm",
    ".globl behave_faults_begin, behave_faults_end",
    "behave_faults_begin:",
    ".globl behave_undefined, behave_divide, behave_trap, behave_store, behave_privileged",
    ".globl behave_no_stack",
    "behave_undefined:",
    "behave_fault",
    "ud2",
    "behave_go_on",
    "behave_divide:",
    "behave_fault",
    "xor ecx, ecx",
    "xor edx, edx",
    "mov eax, 1",
    "div ecx",
    "behave_go_on",
    "behave_trap:",
    "behave_fault",
    "int3",
    "behave_go_on",
    "behave_store:",
    "behave_fault",
    "mov dword ptr [rdi], eax",
    "behave_go_on",
    "behave_privileged:",
    "behave_fault",
    "hlt",
    "behave_go_on",
    "behave_no_stack:",
    "behave_fault",
    "mov esp, 16",
    "ud2",
    "behave_go_on",
    "behave_faults_end:",
    // The kernel's handler: `rcx` says whether its beginning is written down.
    ".globl behave_handler, behave_handler_again",
    "behave_handler:",
    "xor ecx, ecx",
    "jmp {handle}",
    "behave_handler_again:",
    "mov ecx, 1",
    "jmp {handle}",
    ".globl _start",
    "_start:",
    "mov rdi, rsp",
    "xor ebp, ebp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    // What the compiler takes for granted.
    ".globl memcpy, memmove, memset, memcmp, bcmp",
    "memcpy:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "memmove:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "cmp rdi, rsi",
    "jbe 0f",
    "lea rdi, [rdi + rcx - 1]",
    "lea rsi, [rsi + rcx - 1]",
    "std",
    "0:",
    "rep movsb",
    "cld",
    "ret",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    "memcmp:",
    "bcmp:",
    "ud2",
    count = const offset_of!(Slot, count),
    records = const offset_of!(Slot, records),
    tag = const offset_of!(Slot, tag),
    kind = const offset_of!(Record, kind),
    flags = const offset_of!(Record, flags),
    number = const offset_of!(Record, number),
    pending = const offset_of!(Record, pending),
    pointer = const offset_of!(Record, pointer),
    detail = const offset_of!(Record, detail),
    time = const offset_of!(Record, time),
    result = const offset_of!(Record, result),
    done = const offset_of!(Record, done),
    call_flags = const offset_of!(Call, flags),
    call_detail = const offset_of!(Call, detail),
    more = const offset_of!(Record, more),
    call_more = const offset_of!(Call, more),
    call_deeper = const offset_of!(Call, deeper),
    is_call = const kind::CALL,
    none = const NONE,
    born = sym crate::born,
    handle = sym crate::handle,
    start = sym crate::start,
);
