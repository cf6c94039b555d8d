//! A process for the attacker to attack: it has a page at a known place and a host name of its own,
//! objects of the kernel by known descriptors, and waits.

use std::io;
use std::os::fd::RawFd;
use std::process::ExitCode;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Where its page is.
pub const PAGE: u64 = 0x2000_0000;

/// A page of memory that others may share. A thread of the helper waits for the futex in its first
/// word, and counts in the second how often it was woken.
pub const MEMORY: RawFd = 92;
/// A file system that is being set up: a tmpfs.
pub const FILE_SYSTEM: RawFd = 93;
pub const EVENTS: RawFd = 94;
pub const TIMER: RawFd = 95;
pub const EPOLL: RawFd = 96;

/// Moves what a call has opened to a known number.
fn keep(opened: i64, number: RawFd) -> io::Result<()> {
    let Ok(opened @ 0..) = RawFd::try_from(opened) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the number is high, so that nothing is replaced.
    let moved = unsafe { libc::dup2(opened, number) };
    if moved < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is ours, and nobody else knows it.
    unsafe { libc::close(opened) };
    Ok(())
}

/// What the attacker may reach through descriptors.
fn objects() -> io::Result<()> {
    // SAFETY: the calls open something, and the strings are C strings.
    unsafe {
        keep(libc::memfd_create(c"shared".as_ptr(), 0).into(), MEMORY)?;
        keep(libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 0), FILE_SYSTEM)?;
        keep(libc::eventfd(0, libc::EFD_NONBLOCK).into(), EVENTS)?;
        keep(libc::timerfd_create(libc::CLOCK_MONOTONIC, 0).into(), TIMER)?;
        keep(libc::epoll_create1(0).into(), EPOLL)?;
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping of a file that is as long. It lasts as long as the process.
    let words = unsafe {
        if libc::ftruncate(MEMORY, 4096) != 0 {
            return Err(io::Error::last_os_error());
        }
        let at = libc::mmap(ptr::null_mut(), 4096, access, libc::MAP_SHARED, MEMORY, 0);
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        &*at.cast::<[AtomicU32; 2]>()
    };
    thread::spawn(move || loop {
        let null = ptr::null::<u8>();
        // SAFETY: the futex is a word of a mapping that stays.
        let woken = unsafe {
            libc::syscall(libc::SYS_futex, words[0].as_ptr(), libc::FUTEX_WAIT, 0, null, null, 0)
        };
        if woken == 0 {
            words[1].fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(())
}

pub fn run() -> ExitCode {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let at = ptr::with_exposed_provenance_mut(usize::try_from(PAGE).unwrap_or(0));
    // SAFETY: a new mapping, which replaces none.
    let page = unsafe { libc::mmap(at, 4096, access, flags, -1, 0) };
    // SAFETY: no memory is involved.
    let apart = unsafe { libc::unshare(libc::CLONE_NEWUTS) };
    if page != at || apart != 0 {
        eprintln!("battery helper: {}", io::Error::last_os_error());
        return ExitCode::from(2);
    }
    if let Err(e) = objects() {
        eprintln!("battery helper: {e}");
        return ExitCode::from(2);
    }
    println!("ready");
    let mut line = String::new();
    drop(io::stdin().read_line(&mut line));
    ExitCode::SUCCESS
}
