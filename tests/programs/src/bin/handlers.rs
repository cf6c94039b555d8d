//! A program with handlers of faults, as crash reporters and interpreters have them.
//!
//! `handlers work DIR` is its lawful work: each handler steps over the instruction that has
//! faulted, and a directory below DIR is made and removed. `handlers leave COUNT` leaves that many
//! handlers without a return, as `siglongjmp` does, from ever other depths of the stack.
//! `handlers setup` has a stack on which no handler's frame has room; the handler of SIGSEGV mends
//! that; `handlers disarm` has a handler on a stack that the kernel disarms meanwhile (`SS_AUTODISARM`).
//! `handlers deep` nests 20 handlers on the alternate stack and leaves them all; then another one
//! begins there, and returns. The attacks remove DIR by a call that the policy has, made where it does not have it:
//! `handlers nest COUNT DIR` after nested faults and forged returns, `handlers stray DIR` after a
//! forged return from a handler that was left.

#![allow(unsafe_code, static_mut_refs)]

use std::arch::asm;
use std::ffi::CString;
use std::mem::zeroed;
use std::process::exit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use sysfsm_fixtures::forged::{forged_return, go_on, jump};

/// What the handlers do: step over the fault, nest, or leave.
static NEST: AtomicBool = AtomicBool::new(false);
static LEAVE: AtomicBool = AtomicBool::new(false);
/// How many more handlers nest before the innermost one leaves.
static DEEPER: AtomicI64 = AtomicI64::new(0);
/// Where the program goes on after a forged return, or when it leaves a handler.
static BACK_IP: AtomicU64 = AtomicU64::new(0);
static BACK_SP: AtomicU64 = AtomicU64::new(0);
static ROUNDS: AtomicI64 = AtomicI64::new(0);

/// The alternate signal stack.
static mut ALTERNATE: [u8; 1 << 18] = [0; 1 << 18];

/// The kernel takes the alternate stack from the thread while a handler runs there.
const SS_AUTODISARM: i32 = i32::MIN;

const RSP: usize = libc::REG_RSP as usize;
const RIP: usize = libc::REG_RIP as usize;

fn registers<'a>(context: *mut libc::c_void) -> &'a mut [i64; 23] {
    // SAFETY: the kernel gives a handler its ucontext_t.
    unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs }
}

extern "C" fn on_sigill(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if NEST.load(Relaxed) {
        divide();
    }
    if LEAVE.load(Relaxed) {
        if DEEPER.fetch_sub(1, Relaxed) > 0 {
            undefined();
        }
        leave();
    }
    registers(context)[RIP] += 2;
}

extern "C" fn on_sigfpe(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if NEST.load(Relaxed) {
        // SAFETY: `nest` has left them there.
        unsafe { go_on(BACK_IP.load(Relaxed), BACK_SP.load(Relaxed)) };
    }
    registers(context)[RIP] += 2;
}

/// Puts the stack right: `bad_stack` has left where it was.
extern "C" fn on_sigsegv(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let registers = registers(context);
    registers[RSP] = i64::try_from(BACK_SP.load(Relaxed)).unwrap_or(0);
    registers[RIP] += 2;
}

fn divide() {
    // SAFETY: the handler of SIGFPE steps over the division.
    unsafe {
        asm!("xor ecx, ecx", "xor edx, edx", "mov eax, 1", "div ecx",
             out("eax") _, out("ecx") _, out("edx") _);
    }
}

fn undefined() {
    // SAFETY: the handler of SIGILL steps over it.
    unsafe { asm!("ud2") };
}

/// Leaves a handler, with its signal unblocked.
fn leave() -> ! {
    // SAFETY: `left` has left them there.
    unsafe {
        let none: libc::sigset_t = zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        jump(BACK_IP.load(Relaxed), BACK_SP.load(Relaxed))
    }
}

/// Raises SIGILL so many bytes below, and leaves its handler.
#[inline(never)]
fn left(deeper: u64) {
    LEAVE.store(true, Relaxed);
    // SAFETY: whoever comes to the label finds the stack as it was, and no register but those that
    // are named is expected to be.
    unsafe {
        asm!(
            "push rbx", "push rbp",
            "lea rax, [rip + 2f]", "mov [rdi], rax", "mov [rsi], rsp",
            "sub rsp, rdx", "and rsp, -16", "ud2",
            "2:", "pop rbp", "pop rbx",
            in("rdi") BACK_IP.as_ptr(), in("rsi") BACK_SP.as_ptr(), in("rdx") deeper,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _, clobber_abi("C"),
        );
    }
    LEAVE.store(false, Relaxed);
}

/// So many times: a fault in the handler of a fault, and a forged return from the second one to
/// before the first.
#[inline(never)]
fn nest(rounds: i64) {
    NEST.store(true, Relaxed);
    ROUNDS.store(rounds, Relaxed);
    // SAFETY: as in `left`.
    unsafe {
        asm!(
            "push rbx", "push rbp", "sub rsp, 128",
            "lea rax, [rip + 2f]", "mov [rdi], rax", "mov [rsi], rsp",
            "2:", "lea rax, [rip + {rounds}]", "dec qword ptr [rax]", "js 3f", "ud2",
            "3:", "add rsp, 128", "pop rbp", "pop rbx",
            in("rdi") BACK_IP.as_ptr(), in("rsi") BACK_SP.as_ptr(), rounds = sym ROUNDS,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _, clobber_abi("C"),
        );
    }
    NEST.store(false, Relaxed);
}

/// An undefined instruction on a stack without room.
#[inline(never)]
fn bad_stack() {
    // SAFETY: the handler of SIGSEGV, on a stack of its own, puts the stack pointer back.
    unsafe {
        asm!("mov [rsi], rsp", "mov esp, 16", "ud2", in("rsi") BACK_SP.as_ptr());
    }
}

type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

fn handle(signal: i32, handler: Handler, flags: i32) {
    // SAFETY: a handler with the signature that SA_SIGINFO asks for.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | flags;
        assert_eq!(libc::sigaction(signal, &raw const action, ptr::null_mut()), 0);
    }
}

/// Sets the alternate signal stack.
fn alternate_stack(memory: *mut [u8], flags: i32) {
    let stack = libc::stack_t { ss_sp: memory.cast(), ss_flags: flags, ss_size: memory.len() };
    // SAFETY: the callers' memory lives as long as handlers use it.
    assert_eq!(unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) }, 0);
}

/// A handler on an alternate stack above the thread's stack pointer, which the kernel takes from
/// the thread meanwhile.
fn disarm() {
    let mut memory = [0; 1 << 14];
    alternate_stack(&raw mut memory, SS_AUTODISARM);
    handle(libc::SIGILL, on_sigill, libc::SA_ONSTACK);
    undefined();
}

fn call(number: i64) {
    // SAFETY: calls without arguments.
    unsafe { libc::syscall(number) };
}

/// The program's lawful round.
fn round() {
    call(libc::SYS_getpid);
    call(libc::SYS_getuid);
    call(libc::SYS_getppid);
}

fn remove(directory: &str) {
    let path = CString::new(directory).unwrap_or_default();
    // SAFETY: a path with its zero.
    unsafe { libc::rmdir(path.as_ptr()) };
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    let directory = argument(arguments.len().saturating_sub(1));
    alternate_stack(&raw mut ALTERNATE, 0);
    handle(libc::SIGILL, on_sigill, 0);
    handle(libc::SIGFPE, on_sigfpe, 0);
    handle(libc::SIGSEGV, on_sigsegv, libc::SA_ONSTACK);
    round();
    match argument(0) {
        "work" => {
            undefined();
            divide();
            left(0);
            round();
            let inner = format!("{directory}/inner");
            let path = CString::new(inner.as_str()).unwrap_or_default();
            // SAFETY: a path with its zero.
            unsafe { libc::mkdir(path.as_ptr(), 0o700) };
            remove(&inner);
            round();
        }
        "leave" => {
            for turn in 0..argument(1).parse::<u64>().unwrap_or(0) {
                // Deeper and deeper, and then anywhere.
                left(if turn % 100 < 50 { turn % 100 * 64 } else { turn * 7919 % 40_000 });
                if turn % 3 == 0 {
                    round();
                }
                undefined();
            }
            round();
        }
        "setup" => {
            bad_stack();
            round();
        }
        "disarm" => {
            disarm();
            round();
        }
        "deep" => {
            handle(libc::SIGILL, on_sigill, libc::SA_ONSTACK | libc::SA_NODEFER);
            DEEPER.store(19, Relaxed);
            left(0);
            round();
            undefined();
            round();
        }
        "nest" => {
            nest(argument(1).parse().unwrap_or(0));
            for _ in 0..15 {
                forged_return();
            }
            remove(directory);
        }
        "stray" => {
            left(0);
            round();
            forged_return();
            remove(directory);
        }
        other => panic!("unknown work `{other}`"),
    }
    exit(0);
}
