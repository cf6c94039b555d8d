//! Signal handlers: what they write down, what they do, and how they end.

use crate::play::{leave, play, ROUNDS};
use crate::stubs::{
    behave_call_at, behave_call_reserved, behave_clone_at, behave_clone_reserved,
    behave_faults_begin, behave_faults_end, behave_handler, behave_handler_again, behave_int80_at,
    behave_int80_reserved, behave_return, behave_return_at, behave_return_reserved,
};
use crate::thread::{call, record, Thread};
use libc::{siginfo_t, ucontext_t};
use std::sync::atomic::Ordering::Relaxed;
use sysfsm_fixtures::behaviour::{area, bounds, flag, kind, Area, RECORDS, REGION};

/// The signals of faults, of other tasks, and of the thread itself.
pub const FAULTS: [i32; 5] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];
pub const OTHERS: [i32; 4] = [libc::SIGUSR1, libc::SIGUSR2, libc::SIGCHLD, 40];
pub const OWN: [i32; 3] = [libc::SIGHUP, 41, 42];

const SI_KERNEL: i32 = 0x80;
const SA_RESTORER: u64 = 0x0400_0000;

/// `struct sigaction` of the kernel.
#[repr(C)]
struct Action {
    handler: u64,
    flags: u64,
    restorer: u64,
    mask: u64,
}

pub fn mask(signals: &[i32]) -> u64 {
    signals.iter().fold(0, |mask, signal| mask | 1 << (signal - 1))
}

/// Installs a handler. The signals that come at any time wait while one begins; so does none of the
/// others, but they come only where the thread asks for them.
pub fn install(thread: &Thread, signal: i32) {
    let own = OWN.contains(&signal);
    let other = OTHERS.contains(&signal);
    let waits = mask(&OTHERS) | if other || thread.chance(30) { mask(&OWN) } else { 0 };
    let stack = thread.chance(if signal == libc::SIGSEGV { 75 } else { 40 });
    let no_defer = !other && thread.chance(if own { 50 } else { 95 });
    let mut flags = libc::SA_SIGINFO as u64 | SA_RESTORER;
    if stack {
        flags |= libc::SA_ONSTACK as u64;
    }
    if no_defer {
        flags |= libc::SA_NODEFER as u64;
    }
    if thread.chance(50) {
        flags |= libc::SA_RESTART as u64;
    }
    let handler = behave_handler as *const () as u64;
    let action = Action { handler, flags, restorer: handler, mask: waits };
    thread.call(libc::SYS_rt_sigaction, &[signal as u64, (&raw const action) as u64, 0, 8]);
}

fn within(ip: u64, from: *const u8, to: *const u8) -> bool {
    (from as u64..=to as u64).contains(&ip)
}

/// The index of the call that was interrupted before it was made, and whether it was reached.
fn pending(ip: u64, r12: u64) -> Option<(u32, bool)> {
    let stubs = [
        (&raw const behave_call_reserved, &raw const behave_call_at),
        (&raw const behave_int80_reserved, &raw const behave_int80_at),
        (&raw const behave_clone_reserved, &raw const behave_clone_at),
        (&raw const behave_return_reserved, &raw const behave_return_at),
    ];
    stubs
        .into_iter()
        .find(|(from, to)| within(ip, *from, *to))
        .map(|(_, to)| (r12 as u32, ip == to as u64))
}

fn register(context: &ucontext_t, which: i32) -> u64 {
    context.uc_mcontext.gregs[which as usize] as u64
}

/// Writes down that a handler begins; before that, of a handler that it has interrupted at its
/// first instruction.
unsafe fn begins(thread: &Thread, signal: u32, info: *const siginfo_t, context: *mut ucontext_t) {
    // SAFETY: the kernel's.
    let (registers, code) = unsafe { (&mut *context, (*info).si_code) };
    let ip = register(registers, libc::REG_RIP);
    let sp = register(registers, libc::REG_RSP);
    let mut flags = 0;
    if ip == behave_handler as *const () as u64 {
        let inner = register(registers, libc::REG_RDI) as u32;
        let inner_info = register(registers, libc::REG_RSI) as *const siginfo_t;
        let inner_context = register(registers, libc::REG_RDX) as *mut ucontext_t;
        // SAFETY: as the kernel has given them to that handler.
        unsafe { begins(thread, inner, inner_info, inner_context) };
        registers.uc_mcontext.gregs[libc::REG_RIP as usize] =
            behave_handler_again as *const () as i64;
        flags |= flag::EARLY;
    }
    let (found, runs) = (area(sp), area(context as u64));
    flags |= match found {
        Area::Main => 0,
        Area::First => flag::FOUND_FIRST,
        Area::Second => flag::FOUND_SECOND,
    };
    flags |= match runs {
        Area::Main => 0,
        Area::First => flag::RUNS_FIRST,
        Area::Second => flag::RUNS_SECOND,
    };
    if runs != Area::Main
        && (found != runs || context as u64 > sp || sp & !(REGION - 1) != thread.region())
    {
        flags |= flag::SWITCHES;
    }
    let fault = within(ip, &raw const behave_faults_begin, &raw const behave_faults_end);
    // A fault of `hlt` is the kernel's, too. SAFETY: the program's own code.
    let privileged = fault && unsafe { *(ip as *const u8) } == 0xf4;
    if signal == libc::SIGSEGV as u32 && code == SI_KERNEL {
        flags |= if privileged { flag::PRIVILEGED } else { flag::SETUP_FAILED };
    }
    let mut new = record(kind::HANDLER, signal, sp, context as u64);
    if let Some((index, reached)) = pending(ip, register(registers, libc::REG_R12)) {
        new.pending = index;
        flags |= if reached { flag::AT_CALL } else { 0 };
    }
    new.flags = flags;
    thread.record(new);
}

/// Every handler.
pub(crate) extern "C" fn handle(
    signal: i32,
    info: *const siginfo_t,
    context: *mut ucontext_t,
    written: u32,
) -> ! {
    let thread = Thread::here();
    if written == 0 {
        // SAFETY: the kernel's arguments.
        unsafe { begins(thread, signal as u32, info, context) };
    }
    // SAFETY: the kernel's frame, which stays until the handler returns.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    let ip = registers[libc::REG_RIP as usize] as u64;
    let fault = within(ip, &raw const behave_faults_begin, &raw const behave_faults_end);
    let synchronous = FAULTS.contains(&signal);
    // SAFETY: the kernel's.
    let code = unsafe { (*info).si_code };
    if fault && synchronous {
        registers[libc::REG_RIP as usize] = registers[libc::REG_RBX as usize];
        registers[libc::REG_RSP as usize] = registers[libc::REG_R12 as usize];
    } else if synchronous && code > 0 && code != SI_KERNEL {
        thread.broken(signal as u32, ip);
    }
    let (level, marked, interrupted) =
        (thread.level.get(), thread.marked.get(), thread.interrupted.get());
    let again = ip == behave_handler_again as *const () as u64;
    let waits = pending(ip, registers[libc::REG_R12 as usize] as u64).is_some();
    thread.level.set(level + 1);
    thread.interrupted.set(interrupted + u64::from(waits || again));
    if thread.dive.get() > 0 && has_room() {
        thread.dive.set(thread.dive.get() - 1);
        crate::play::fault(thread);
    } else if marked < ROUNDS && has_room() {
        thread.mark(play, thread.below(5));
    }
    if thread.slot().count.load(Relaxed) > RECORDS as u32 - 64 {
        thread.broken(0, ip);
    }
    if marked > 0 && thread.chance(15) {
        leave(thread);
    }
    thread.level.set(level);
    thread.interrupted.set(interrupted);
    let call = call(libc::SYS_rt_sigreturn, &[], flag::RETURN, context as u64, 0);
    // SAFETY: the frame that the kernel has left.
    unsafe { behave_return(&raw const call, thread.slot(), context as u64) }
}

/// Whether another handler has room on this stack.
pub fn has_room() -> bool {
    let pointer = crate::thread::stack_pointer();
    let (from, _) = bounds(pointer & !(REGION - 1), area(pointer));
    pointer - from > 0x8000
}
