//! Signal handlers three deep, a call that is restarted after a handler, one that is not, and a
//! fork inside a handler: the same every time.
//!
//! It proves that a handler's calls are judged in a frame of their own, and that what it
//! interrupted goes on.

#![allow(unsafe_code)]

use std::io;
use std::mem::zeroed;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// Where handlers write: the pipe that `main` reads.
static PIPE: AtomicI32 = AtomicI32::new(-1);

fn say(letter: u8) {
    // SAFETY: one byte, and it is there.
    unsafe { libc::write(PIPE.load(Ordering::Relaxed), (&raw const letter).cast(), 1) };
}

extern "C" fn outer(_: i32) {
    say(b'1');
    // SAFETY: the handler of the signal is installed.
    unsafe { libc::raise(libc::SIGUSR2) };
    say(b'5');
}

extern "C" fn middle(_: i32) {
    say(b'2');
    // SAFETY: the handler of the signal is installed.
    unsafe { libc::raise(libc::SIGRTMIN() + 2) };
    say(b'4');
}

extern "C" fn inner(_: i32) {
    say(b'3');
}

/// Writes what the interrupted read waits for.
extern "C" fn wake(_: i32) {
    say(b'w');
}

extern "C" fn forking(_: i32) {
    // SAFETY: the child only ends, the parent waits for it.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(7);
        }
        let mut status = 0;
        libc::waitpid(child, &raw mut status, 0);
        say(if libc::WEXITSTATUS(status) == 7 { b'f' } else { b'!' });
    }
}

extern "C" fn nothing(_: i32) {}

fn handle(signal: i32, handler: extern "C" fn(i32), flags: i32) {
    // SAFETY: the handlers only call what handlers may.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}

/// SIGALRM in a moment.
fn alarm() {
    let moment = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
    let once =
        libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: moment };
    // SAFETY: the timer is a plain value. (libc has no setitimer for Linux.)
    unsafe { libc::syscall(libc::SYS_setitimer, 0, &raw const once, ptr::null::<u8>()) };
}

fn read(from: i32, want: &[u8]) {
    let mut got = [0_u8; 8];
    let mut len = 0;
    while let Some(rest) = got.get_mut(len..want.len()).filter(|r| !r.is_empty()) {
        // SAFETY: the buffer is ours and as long as it is said to be.
        let more = unsafe { libc::read(from, rest.as_mut_ptr().cast(), rest.len()) };
        assert!(more > 0, "read: {}", io::Error::last_os_error());
        len += usize::try_from(more).unwrap_or(0);
    }
    assert_eq!(got.get(..len), Some(want));
}

fn main() {
    let mut ends = [0; 2];
    // SAFETY: two descriptors fit.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let [from, to] = ends;
    PIPE.store(to, Ordering::Relaxed);

    handle(libc::SIGUSR1, outer, 0);
    handle(libc::SIGUSR2, middle, 0);
    handle(libc::SIGRTMIN() + 2, inner, 0);
    // SAFETY: the handler of the signal is installed.
    unsafe { libc::raise(libc::SIGUSR1) };
    read(from, b"12345");

    handle(libc::SIGALRM, wake, libc::SA_RESTART);
    alarm();
    read(from, b"w");

    handle(libc::SIGALRM, nothing, 0);
    alarm();
    // A sleep is never restarted. A late alarm may have come before it, so that it is short.
    let short = libc::timespec { tv_sec: 0, tv_nsec: 60_000_000 };
    // SAFETY: the time is a plain value.
    unsafe { libc::nanosleep(&raw const short, ptr::null_mut()) };

    handle(libc::SIGHUP, forking, 0);
    // SAFETY: the handler of the signal is installed.
    unsafe { libc::raise(libc::SIGHUP) };
    read(from, b"f");
}
