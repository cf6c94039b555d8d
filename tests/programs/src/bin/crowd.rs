//! `crowd PROCESSES THREADS [stray|stay]`: processes of THREADS threads each, all alive at
//! once; with `stray` each makes one call, `getppid`, that it does not make without; with `stay`
//! all wait until the input ends. Proves that a policy holds for a hundred thousand threads.

#![allow(unsafe_code, clippy::print_stderr, clippy::print_stdout, clippy::indexing_slicing)]

use std::process::exit;
use std::sync::{Arc, Barrier};

/// Small: a hundred thousand of them are alive at once.
const STACK: usize = 16 * 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let &[processes, threads] = numbers.as_slice() else {
        eprintln!("usage: crowd PROCESSES THREADS [stray|stay]");
        exit(2);
    };
    let stray = arguments.iter().any(|a| a == "stray");
    // A pipe: its end of file says that everybody is there.
    let (mut ready, mut go) = ([0; 2], [0; 2]);
    // SAFETY: both arrays have room for two descriptors.
    assert_eq!(unsafe { libc::pipe(ready.as_mut_ptr()) | libc::pipe(go.as_mut_ptr()) }, 0);
    let mut children = Vec::new();
    for _ in 0..processes {
        // SAFETY: the process has one thread, so its copy may do anything.
        match unsafe { libc::fork() } {
            0 => {
                close(ready[0]);
                close(go[1]);
                process(threads, stray, ready[1], go[0]);
            }
            pid => children.push(pid),
        }
    }
    close(ready[1]);
    close(go[0]);
    let mut there = 0;
    let mut byte = [0_u8; 1];
    // SAFETY: the buffer has room for one byte.
    while there < processes && unsafe { libc::read(ready[0], byte.as_mut_ptr().cast(), 1) } == 1 {
        there += 1;
    }
    println!("{} threads", there * threads);
    if arguments.iter().any(|a| a == "stay") {
        // SAFETY: the buffer has room for one byte.
        while unsafe { libc::read(0, byte.as_mut_ptr().cast(), 1) } == 1 {}
    }
    close(go[1]);
    let mut failed = there != processes;
    for pid in children {
        let mut status = 0;
        // SAFETY: a child of ours, and room for its status.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        failed |= waited != pid || status != 0;
    }
    exit(i32::from(failed));
}

/// One process of the crowd.
fn process(threads: usize, stray: bool, ready: i32, go: i32) -> ! {
    let everybody = Arc::new(Barrier::new(threads + 1));
    let handles: Vec<_> = (0..threads)
        .map(|_| {
            let everybody = everybody.clone();
            std::thread::Builder::new()
                .stack_size(STACK)
                .spawn(move || {
                    everybody.wait();
                    let mut byte = [0_u8; 1];
                    // SAFETY: the buffer has room for one byte; end of file comes when all are
                    // there.
                    unsafe { libc::read(go, byte.as_mut_ptr().cast(), 1) };
                    if stray {
                        // SAFETY: no arguments.
                        unsafe { libc::getppid() };
                    }
                })
                .unwrap_or_else(|e| {
                    eprintln!("no thread: {e}");
                    exit(1);
                })
        })
        .collect();
    everybody.wait();
    // SAFETY: one byte of a constant.
    unsafe { libc::write(ready, c"x".as_ptr().cast(), 1) };
    close(ready);
    for handle in handles {
        if handle.join().is_err() {
            exit(1);
        }
    }
    exit(0);
}

fn close(descriptor: i32) {
    // SAFETY: a descriptor of ours, not used any more.
    unsafe { libc::close(descriptor) };
}
