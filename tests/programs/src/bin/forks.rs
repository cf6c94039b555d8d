//! Children of every kind, one after the other: fork, vfork with an exec of this very program (as
//! `posix_spawn` makes it), a raw clone; and `forks burst COUNT`, which forks as fast as it can and
//! lets many live at once. Each child of `forks violating COUNT` makes a call that no policy has.
//!
//! It proves that a child is watched from its first call, however many are born.

#![allow(unsafe_code)]

use std::process::{Command, ExitCode};
use std::ptr;

/// How many children live at once at the most.
const ALIVE: u32 = 50;

fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: this program has one thread.
    match unsafe { libc::fork() } {
        0 => {
            child();
            // SAFETY: ends the child.
            unsafe { libc::_exit(7) }
        }
        pid => pid,
    }
}

fn ended_well(pid: i32) -> bool {
    let mut status = 0;
    // SAFETY: the status is ours.
    let got = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    got > 0 && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 7
}

fn clone() -> i32 {
    // SAFETY: without flags it is a fork.
    match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
        // SAFETY: ends the child.
        0 => unsafe { libc::_exit(7) },
        pid => i32::try_from(pid).unwrap_or(-1),
    }
}

fn one_of_each() -> bool {
    let forked = fork(|| {
        // SAFETY: no memory is involved.
        unsafe { libc::getppid() };
        // A grandchild.
        assert!(ended_well(fork(|| {})), "the grandchild ends");
    });
    let spawned = std::env::current_exe().and_then(|me| Command::new(me).arg("child").status());
    ended_well(forked) && ended_well(clone()) && spawned.is_ok_and(|s| s.code() == Some(7))
}

fn many(count: u32, child: fn()) -> bool {
    let mut well = true;
    for born in 0..count {
        well &= fork(child) > 0;
        if born >= ALIVE {
            well &= ended_well(-1);
        }
    }
    for _ in 0..count.min(ALIVE) {
        well &= ended_well(-1);
    }
    // SAFETY: no memory is involved. Nobody is left.
    well && unsafe { libc::waitpid(-1, ptr::null_mut(), 0) } == -1
}

fn violate() {
    // SAFETY: the kernel has no such call.
    unsafe { libc::syscall(4000) };
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let well = match arguments[..] {
        [] => one_of_each(),
        ["child"] => return ExitCode::from(7),
        ["burst", count] => count.parse().is_ok_and(|count| many(count, || {})),
        ["violating", count] => count.parse().is_ok_and(|count| many(count, violate)),
        _ => false,
    };
    ExitCode::from(u8::from(!well))
}
