//! What a task does: one action after another, by chance.

use crate::handlers::{has_room, install, mask, FAULTS, OTHERS, OWN};
use crate::stubs::{
    behave_divide, behave_jump, behave_no_stack, behave_privileged, behave_return, behave_store,
    behave_trap, behave_undefined, Mark,
};
use crate::tasks;
use crate::thread::{call, record, stack_pointer, trace, Thread, MARKS};
use std::cell::Cell;
use std::mem::{offset_of, size_of};
use std::sync::atomic::Ordering::Relaxed;
use sysfsm_fixtures::behaviour::{area, bounds, kind, Area, Trace, SLOTS, TRACE};
use sysfsm_fixtures::forged;

/// How many marks there may be before a handler does nothing any more.
pub const ROUNDS: u64 = MARKS as u64 - 8;

/// Harmless calls without arguments, and numbers that no kernel has.
const CALLS: [i64; 16] = [
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_sched_yield,
    libc::SYS_umask,
    libc::SYS_getpgrp,
    libc::SYS_times,
    libc::SYS_time,
    libc::SYS_alarm,
    libc::SYS_nanosleep,
    1000,
    5000,
];

/// The first task of a program: after its start, and after an exec.
pub extern "C" fn first(_: u64) -> ! {
    let thread = Thread::here();
    let mut start = record(kind::START, 0, stack_pointer(), 0);
    start.number = thread.slot().program.load(Relaxed);
    thread.record(start);
    for signal in FAULTS.into_iter().chain(OTHERS).chain(OWN) {
        install(thread, signal);
    }
    // An exec leaves what was blocked.
    unblock(thread);
    task(thread)
}

/// A task to its end.
pub fn task(thread: &Thread) -> ! {
    if thread.chance(90) {
        alternate(thread);
    }
    // Until the id is known nobody sends anything.
    if thread.chance(70) {
        harmless(thread, libc::SYS_gettid);
    }
    while thread.slot().budget.load(Relaxed) > 0 {
        round(thread, 8);
    }
    end(thread)
}

/// A few actions that can be left.
fn round(thread: &Thread, actions: u64) {
    if !thread.mark(play, actions) {
        play(actions);
    }
}

pub extern "C" fn play(actions: u64) {
    for _ in 0..actions {
        let thread = Thread::here();
        hold(thread);
        if !thread.may_act() {
            return;
        }
        act(thread);
    }
}

/// Waits until the test says so, where it is to find running tasks.
fn hold(thread: &Thread) {
    let go = &raw const trace().go;
    while trace().go.load(Relaxed) == 0 && thread.slot().count.load(Relaxed) >= trace().hold {
        thread.call(libc::SYS_futex, &[go as u64, libc::FUTEX_WAIT as u64, 0, 0]);
    }
}

fn act(thread: &Thread) {
    let wild = u64::from(trace().wild);
    if !thread.chance(wild) {
        // A run has few kinds of calls, so that contexts come again.
        let kinds = 3 + trace().seed % 6;
        let which = (trace().seed >> 8).wrapping_mul(31).wrapping_add(thread.below(kinds) * 7);
        return harmless(thread, CALLS[which as usize % CALLS.len()]);
    }
    match thread.below(100) {
        0..28 => fault(thread),
        28..33 => {
            thread.dive.set(3 + thread.below(19));
            fault(thread);
        }
        33..41 => leave_if_any(thread),
        41..47 => forge(thread),
        47..54 => own_signal(thread),
        54..62 => tasks::signal_another(thread),
        62..70 => tasks::bear(thread),
        70..73 => tasks::exec(thread),
        73..78 => alternate(thread),
        78..81 => install(thread, FAULTS[thread.below(5) as usize]),
        81..84 => foreign(thread),
        84..87 => harmless(thread, [-1, libc::SYS_restart_syscall][thread.below(2) as usize]),
        87..90 => no_stack(thread),
        90..93 => two_at_once(thread),
        93 => end(thread),
        94..97 => round(thread, 4),
        _ => harmless(thread, CALLS[thread.below(CALLS.len() as u64) as usize]),
    }
}

/// A moment, which a signal may cut short.
static MOMENT: [u64; 2] = [0, 50_000];

fn harmless(thread: &Thread, number: i64) {
    match number {
        libc::SYS_umask => thread.call(number, &[0o22]),
        libc::SYS_nanosleep => thread.call(number, &[MOMENT.as_ptr() as u64]),
        libc::SYS_gettid => {
            let tid = thread.call(number, &[]);
            thread.slot().tid.store(tid as i32, Relaxed);
            tid
        }
        _ => thread.call(number, &[]),
    };
}

/// A call of another ABI: of 32 bits, or of x32.
fn foreign(thread: &Thread) {
    if thread.chance(50) {
        thread.int80([20, 24, 64][thread.below(3) as usize]);
    } else {
        thread.call(0x4000_0000 + [39, 102][thread.below(2) as usize], &[]);
    }
}

pub fn fault(thread: &Thread) {
    let past = TRACE + (size_of::<Trace>() as u64).next_multiple_of(4096);
    if !has_room() {
        return;
    }
    // SAFETY: the handlers step over the instruction, or the task ends.
    unsafe {
        match thread.below(6) {
            0 => behave_undefined(),
            1 => behave_divide(),
            2 => behave_trap(),
            3 => behave_store(8),
            4 => behave_store(past),
            _ => behave_privileged(),
        }
    }
}

/// A fault on a stack where no handler's frame has room. The handler of SIGSEGV begins at the end of
/// the alternate stack: nothing may be there.
fn no_stack(thread: &Thread) {
    if free(thread, Area::First) && free(thread, Area::Second) {
        // SAFETY: as in `fault`.
        unsafe { behave_no_stack() };
    }
}

/// Whether nothing of the task's is on one of its alternate stacks.
fn free(thread: &Thread, which: Area) -> bool {
    area(stack_pointer()) != which && thread.marked_pointers().all(|pointer| area(pointer) != which)
}

/// Sets the alternate stack: a good one, one without memory, or none.
pub fn alternate(thread: &Thread) {
    let region = thread.region();
    let which = if thread.chance(70) { Area::First } else { Area::Second };
    let (from, to) = bounds(region, which);
    let mut stack = [from, 0, to - from];
    if thread.chance(30) {
        stack[1] |= 1 << 31;
    }
    match thread.below(10) {
        0 => stack[1] = libc::SS_DISABLE as u64,
        1 => stack = [0x1000, 0, 0x10000],
        _ if !free(thread, which) => return,
        _ => {}
    }
    thread.call(libc::SYS_sigaltstack, &[(&raw const stack) as u64, 0]);
}

pub fn set_mask(thread: &Thread, how: i32, set: u64) {
    thread.call(libc::SYS_rt_sigprocmask, &[how as u64, (&raw const set) as u64, 0, 8]);
}

/// Blocks more signals. Returns which were blocked before.
pub fn block(thread: &Thread, set: u64) -> u64 {
    let before = Cell::new(0_u64);
    let (set, to) = ((&raw const set) as u64, before.as_ptr() as u64);
    thread.call(libc::SYS_rt_sigprocmask, &[libc::SIG_BLOCK as u64, set, to, 8]);
    before.get()
}

pub fn unblock(thread: &Thread) {
    set_mask(thread, libc::SIG_SETMASK, 0);
}

fn send(thread: &Thread, signal: i32) {
    let tid = thread.slot().tid.load(Relaxed);
    if tid > 0 {
        thread.call(libc::SYS_tkill, &[tid as u64, signal as u64]);
    }
}

/// The thread sends itself a signal.
fn own_signal(thread: &Thread) {
    if has_room() {
        let all = [&OWN[..], &FAULTS[..]][usize::from(thread.chance(30))];
        send(thread, all[thread.below(all.len() as u64) as usize]);
    }
}

/// Several handlers begin at once: all but the last one are interrupted before they do anything.
fn two_at_once(thread: &Thread) {
    if !has_room() {
        return;
    }
    set_mask(thread, libc::SIG_BLOCK, mask(&OWN));
    for signal in OWN {
        if thread.chance(70) {
            send(thread, signal);
        }
    }
    set_mask(thread, libc::SIG_UNBLOCK, mask(&OWN));
}

fn leave_if_any(thread: &Thread) {
    if thread.marked.get() > 0 {
        leave(thread);
    }
}

/// Goes on at one of the marks: mostly with the signals unblocked, as `siglongjmp` has it.
pub fn leave(thread: &Thread) -> ! {
    if thread.chance(93) {
        unblock(thread);
    }
    let mark = target(thread);
    // SAFETY: whoever made the mark is still there.
    unsafe { behave_jump(mark) }
}

/// Chooses a mark, and makes it the last one.
fn target(thread: &Thread) -> *const Mark {
    let marked = thread.marked.get();
    let which = if thread.chance(60) { marked - 1 } else { thread.below(marked) };
    thread.back_to(which)
}

/// `rt_sigreturn` from a frame that no handler has: to here, or to a mark.
fn forge(thread: &Thread) {
    if thread.chance(50) && thread.marked.get() > 0 {
        forged_return(thread);
    }
    thread.mark(return_to_last, 0);
}

extern "C" fn return_to_last(_: u64) {
    let thread = Thread::here();
    returns(thread, thread.back_to(thread.marked.get() - 1));
}

fn forged_return(thread: &Thread) -> ! {
    let mark = target(thread);
    returns(thread, mark)
}

fn returns(thread: &Thread, mark: *const Mark) -> ! {
    let mut frame = forged::frame();
    // SAFETY: the mark is there.
    let pointer = unsafe { (*mark).pointer };
    frame.registers.ip = behave_jump as *const () as u64;
    frame.registers.sp = pointer;
    frame.registers.di = mark as u64;
    let call = call(libc::SYS_rt_sigreturn, &[], 0, 0, 0);
    // SAFETY: `behave_jump` takes the mark in its first argument.
    unsafe { behave_return(&raw const call, thread.slot(), (&raw const frame) as u64) }
}

/// The task ends: itself, or its process, by a call or by a signal.
pub fn end(thread: &Thread) -> ! {
    match thread.below(10) {
        0 | 1 => thread.call(libc::SYS_exit_group, &[0]),
        2 => {
            let leader = thread.slot().process.load(Relaxed) as usize % SLOTS;
            let pid = trace().slots[leader].tid.load(Relaxed);
            if pid > 0 {
                thread.call(libc::SYS_kill, &[pid as u64, libc::SIGKILL as u64]);
            }
            0
        }
        _ => 0,
    };
    loop {
        thread.call(libc::SYS_exit, &[0]);
    }
}

const _: () = assert!(offset_of!(Mark, pointer) == 48);
