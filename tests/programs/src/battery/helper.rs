//! A process for the attacker to attack: it has a page at a known place and a host name of its own,
//! and waits.

use std::io;
use std::process::ExitCode;
use std::ptr;

/// Where its page is.
pub const PAGE: u64 = 0x2000_0000;

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
    println!("ready");
    let mut line = String::new();
    drop(io::stdin().read_line(&mut line));
    ExitCode::SUCCESS
}
