//! `nursery MILLISECONDS PROGRAM ARGUMENT...`: runs a program in a pid namespace of its own, until
//! it and all that it has made have ended. What takes longer is killed: then the exit status is 124.
//! The namespace ends with the nursery, and with whoever has started the nursery.

#![allow(unsafe_code, clippy::print_stderr)]

use std::os::unix::process::CommandExt as _;
use std::process::{exit, Command};
use std::ptr;
use std::time::{Duration, Instant};

/// The end of the creator is this process's end.
fn ends_with_creator() {
    // SAFETY: numbers only.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Process 1 of the namespace: reaps all that there is.
fn first(program: &[String]) -> ! {
    ends_with_creator();
    let [path, arguments @ ..] = program else { exit(2) };
    if let Err(e) = Command::new(path).args(arguments).process_group(0).spawn() {
        eprintln!("{path}: {e}");
        exit(1);
    }
    // SAFETY: waits for children, until there is none.
    while unsafe { libc::waitpid(-1, ptr::null_mut(), libc::__WALL) } > 0 {}
    exit(0)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((Ok(patience), program)) =
        words.split_first().map(|(first, rest)| (first.parse(), rest))
    else {
        eprintln!("usage: nursery MILLISECONDS PROGRAM ARGUMENT...");
        exit(2);
    };
    ends_with_creator();
    // SAFETY: this process has one thread.
    let child = unsafe {
        if libc::unshare(libc::CLONE_NEWPID) != 0 {
            eprintln!("unshare: {}", std::io::Error::last_os_error());
            exit(1);
        }
        libc::fork()
    };
    if child == 0 {
        first(program);
    }
    let deadline = Instant::now() + Duration::from_millis(patience);
    loop {
        let mut status = 0;
        // SAFETY: its own child.
        if unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == child {
            exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 3 });
        }
        if Instant::now() > deadline {
            // SAFETY: its own child, which is not reaped. The namespace ends with its first process.
            unsafe {
                libc::kill(child, libc::SIGKILL);
                libc::waitpid(child, &raw mut status, 0);
            }
            exit(124);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
