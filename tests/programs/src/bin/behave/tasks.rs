//! Tasks: how they are made, what they send each other, and what they exec.

use crate::handlers::{mask, OTHERS, OWN};
use crate::play::{alternate, block, end, set_mask, task, unblock};
use crate::stubs::behave_clone;
use crate::thread::{call, trace, Thread};
use std::sync::atomic::Ordering::Relaxed;
use sysfsm_fixtures::behaviour::{bounds, flag, region, Area, SLOTS};

const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;

/// `struct clone_args` of the kernel.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Flags of a clone: of a thread, of a process that shares memory, of any other; then more by
/// chance, also such as the kernel refuses.
fn flags(thread: &Thread) -> u64 {
    let mut flags = match thread.below(10) {
        0..4 => libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_FILES,
        4..6 => libc::CLONE_VM,
        6 => libc::CLONE_VM | libc::CLONE_FILES,
        _ => 0,
    };
    for (more, chance) in [
        (libc::CLONE_FILES, 25),
        (libc::CLONE_FS, 25),
        (libc::CLONE_SIGHAND, 5),
        (libc::CLONE_THREAD, 3),
        (libc::CLONE_PARENT, 10),
        (libc::CLONE_VFORK, 15),
        (libc::CLONE_UNTRACED, 20),
        (libc::CLONE_SYSVSEM, 20),
        (libc::CLONE_IO, 10),
        (libc::CLONE_VM, 5),
    ] {
        if thread.chance(chance) {
            flags |= more;
        }
    }
    flags as u64
}

/// Makes a task.
pub fn bear(thread: &Thread) {
    if trace().births == 0 || trace().used.load(Relaxed) as usize >= SLOTS {
        return;
    }
    let child = trace().used.fetch_add(1, Relaxed);
    if child as usize >= SLOTS {
        return;
    }
    let number = match thread.below(10) {
        0 => libc::SYS_fork,
        1 => libc::SYS_vfork,
        2..6 => libc::SYS_clone3,
        _ => libc::SYS_clone,
    };
    let flags = match number {
        libc::SYS_fork => 0,
        libc::SYS_vfork => (libc::CLONE_VM | libc::CLONE_VFORK) as u64,
        _ => flags(thread),
    };
    // A child with memory of its own would make the call that its creator's handler has interrupted.
    if flags & libc::CLONE_VM as u64 == 0 && thread.interrupted.get() > 0 {
        return;
    }
    let has = |which: i32| flags & which as u64 != 0;
    let ends_with = [0, libc::SIGCHLD, libc::SIGUSR1][thread.below(3) as usize] as u64;
    let ends_with = if has(libc::CLONE_THREAD) { 0 } else { ends_with };
    let slot = &trace().slots[child as usize];
    let share = thread.slot().budget.load(Relaxed).max(0) as u64 / 2;
    slot.budget.store(thread.below(share + 1) as i32 + 3, Relaxed);
    slot.program.store(thread.slot().program.load(Relaxed), Relaxed);
    let process = if has(libc::CLONE_THREAD) { thread.slot().process.load(Relaxed) } else { child };
    slot.process.store(process, Relaxed);
    let shares = has(libc::CLONE_VM);
    let stack = if shares { bounds(region(child), Area::Main).1 - 64 } else { 0 };
    if shares {
        Thread::init(child);
    }
    let args = CloneArgs {
        flags: flags
            | if thread.chance(5) && !has(libc::CLONE_SIGHAND) { CLONE_CLEAR_SIGHAND } else { 0 },
        exit_signal: ends_with,
        stack: if shares { region(child) } else { 0 },
        stack_size: if shares { stack - region(child) } else { 0 },
        ..CloneArgs::default()
    };
    let arguments: &[u64] = match number {
        libc::SYS_clone => &[flags | ends_with, stack],
        libc::SYS_clone3 => &[(&raw const args) as u64, size_of::<CloneArgs>() as u64],
        _ => &[],
    };
    let mut call = call(number, arguments, flag::BIRTH, u64::from(child), 0);
    call.more = flags;
    // Until the child has an alternate stack of its own it has its creator's, and a handler there
    // would take the child for the creator.
    let before =
        (shares && has(libc::CLONE_VFORK)).then(|| block(thread, mask(&OTHERS) | mask(&OWN)));
    // SAFETY: a child that shares the memory begins on a stack of its own, in `born`.
    let result = unsafe { behave_clone(&raw const call, thread.slot(), stack) };
    if result == 0 {
        thread.slot.set(child);
    }
    if let Some(before) = before {
        set_mask(thread, libc::SIG_SETMASK, before);
    }
}

/// A child that shares its creator's memory begins.
pub(crate) extern "C" fn born(stack: u64) -> ! {
    let thread = Thread::of(stack);
    // CLONE_VFORK leaves the alternate stack, which is the creator's (copy_process, kernel/fork.c).
    alternate(thread);
    unblock(thread);
    task(thread)
}

/// Sends a signal to some task of the run, or to its process.
pub fn signal_another(thread: &Thread) {
    let used = u64::from(trace().used.load(Relaxed)).min(SLOTS as u64);
    let other = &trace().slots[thread.below(used) as usize];
    let tid = other.tid.load(Relaxed);
    if tid <= 0 {
        return;
    }
    let signal = OTHERS[thread.below(OTHERS.len() as u64) as usize] as u64;
    let leader = &trace().slots[other.process.load(Relaxed) as usize % SLOTS];
    let pid = leader.tid.load(Relaxed);
    match thread.below(3) {
        0 => thread.call(libc::SYS_tkill, &[tid as u64, signal]),
        1 if pid > 0 => thread.call(libc::SYS_tgkill, &[pid as u64, tid as u64, signal]),
        _ => thread.call(libc::SYS_kill, &[tid as u64, signal]),
    };
}

/// Execs one of the programs, or what is not there.
pub fn exec(thread: &Thread) {
    let slot = thread.slot();
    if slot.budget.load(Relaxed) < 10 {
        end(thread);
    }
    let program = thread.below(u64::from(trace().programs) + 1);
    if program == u64::from(trace().programs) {
        thread.call(libc::SYS_execve, &[c"/nowhere".as_ptr() as u64, 0, 0]);
        return;
    }
    slot.budget.fetch_sub(10, Relaxed);
    let before = slot.program.swap(program as u32, Relaxed);
    let digits = [b'0' + (thread.slot.get() / 10) as u8, b'0' + (thread.slot.get() % 10) as u8, 0];
    let path = trace().paths[program as usize].as_ptr() as u64;
    let arguments = [path, trace().own.as_ptr() as u64, digits.as_ptr() as u64, 0];
    let at = (&raw const arguments) as u64;
    let none = (&raw const arguments[3]) as u64;
    if thread.chance(70) {
        thread.call_for(libc::SYS_execve, &[path, at, none], flag::EXEC, program);
    } else {
        let here = libc::AT_FDCWD as u64;
        thread.call_for(libc::SYS_execveat, &[here, path, at, none, 0], flag::EXEC, program);
    }
    // It has failed.
    slot.program.store(before, Relaxed);
}
