//! `drops [child]`: gives up root for user 65534, as a server does, then waits for a line, and makes
//! a call that it makes nowhere else. With `child` it stays root, and a child does so.

#![allow(unsafe_code, clippy::print_stdout)]

use std::io::{stdin, stdout, Write as _};

const NOBODY: u32 = 65534;

fn drop_root() {
    // SAFETY: calls without memory.
    unsafe {
        assert_eq!(libc::setresgid(NOBODY, NOBODY, NOBODY), 0);
        assert_eq!(libc::setresuid(NOBODY, NOBODY, NOBODY), 0);
    }
    println!("dropped");
    let _ = stdout().flush();
    let _ = stdin().read_line(&mut String::new());
    // SAFETY: as above.
    unsafe { libc::getpgid(0) };
}

fn main() {
    if std::env::args().nth(1).as_deref() != Some("child") {
        drop_root();
        return;
    }
    // SAFETY: the process has one thread, so that the child may do anything.
    match unsafe { libc::fork() } {
        0 => drop_root(),
        child => {
            let mut status = 0;
            // SAFETY: `status` is a place for the status.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
        }
    }
}
