//! A program that makes the same calls over and over, until the first byte of a file that it has
//! mapped says something else.
//!
//! `q`: it ends. `r`: it makes them in reverse order. `s`: a forged `rt_sigreturn`, and then so.
//! `f`: five children do so.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::process::exit;
use std::{io::Write as _, ptr};
use sysfsm_fixtures::forged::forged_return;

fn call(number: i64) {
    // SAFETY: calls without arguments.
    unsafe { libc::syscall(number) };
}

fn sleep() {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // SAFETY: a time, and no place for the rest of it.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, ptr::null_mut::<u8>()) };
}

fn rounds(count: usize) {
    for _ in 0..count {
        call(libc::SYS_getpid);
        call(libc::SYS_getuid);
        call(libc::SYS_getppid);
        sleep();
    }
}

fn reversed() {
    for _ in 0..50 {
        call(libc::SYS_getppid);
        call(libc::SYS_getuid);
        call(libc::SYS_getpid);
        sleep();
    }
}

fn child(work: impl Fn()) {
    // SAFETY: one thread, and the child only makes calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        work();
        // SAFETY: it ends.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: its own child.
    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
}

fn main() {
    let path = std::env::args().nth(1).unwrap_or_default();
    let Ok(file) = File::open(path) else { exit(2) };
    // SAFETY: a mapping of its own, of one page.
    let says = unsafe {
        libc::mmap(ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    let says = says.cast::<u8>();
    let _ = std::io::stdout().write_all(b"ready\n");
    // Part of the lawful work, so that the policy has it.
    child(|| {});
    loop {
        // SAFETY: the file has a byte, which others change.
        match unsafe { says.read_volatile() } {
            b'q' => {
                for _ in 0..3 {
                    rounds(20);
                    child(|| {});
                }
                exit(0);
            }
            b'r' => reversed(),
            b's' => {
                forged_return();
                reversed();
            }
            b'f' => {
                for _ in 0..5 {
                    rounds(20);
                    child(|| {
                        forged_return();
                        reversed();
                    });
                }
                exit(0);
            }
            _ => rounds(1),
        }
    }
}
