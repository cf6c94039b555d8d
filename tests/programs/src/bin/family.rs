//! Processes that share one memory or their descriptors, as `vfork` and `clone` make them.
//!
//! `family work` is the lawful work: children of all kinds make a call and end, and the program
//! says `used`. The attacks: in `family KIND FILE` a child opens the file, which no child does
//! lawfully, and the parent says `used` once it has the descriptor. The kinds are `share` (memory
//! and descriptors), `vfork`, `files` (descriptors only), and `orphan`: the first thread of the child
//! has ended, and the second one opens the file.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::process::exit;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// What a child opens; none: it does lawful work.
static FILE: AtomicPtr<libc::c_char> = AtomicPtr::new(ptr::null_mut());
/// What came of it.
static GOT: AtomicI64 = AtomicI64::new(-1);
/// The end of the stack of a child's second thread.
static SECOND: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

const FILES: i32 = libc::CLONE_FILES | libc::SIGCHLD;
const SHARE: i32 = libc::CLONE_VM | libc::CLONE_FS | FILES;
const VFORK: i32 = libc::CLONE_VFORK | SHARE;
const THREAD: i32 = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM;

extern "C" fn child(_: *mut libc::c_void) -> i32 {
    let file = FILE.load(SeqCst);
    // SAFETY: a path with its zero, or no path.
    let got = unsafe {
        if file.is_null() {
            libc::syscall(libc::SYS_getpid)
        } else {
            libc::syscall(libc::SYS_openat, libc::AT_FDCWD, file, libc::O_RDONLY)
        }
    };
    GOT.store(got, SeqCst);
    0
}

/// A child's first thread: makes a second one, and ends.
extern "C" fn leaves(_: *mut libc::c_void) -> i32 {
    // SAFETY: the stack is the second thread's alone; the exit ends this thread only.
    unsafe {
        libc::clone(child, SECOND.load(SeqCst), THREAD, ptr::null_mut());
        libc::syscall(libc::SYS_exit, 0);
    }
    0
}

/// The end of a stack that lives as long as the program.
fn stack() -> *mut libc::c_void {
    let stack = Box::leak(vec![0_u8; 65536].into_boxed_slice());
    stack.as_mut_ptr_range().end.cast()
}

/// Makes a child, and waits until it has what it is to get.
fn family(run: extern "C" fn(*mut libc::c_void) -> i32, flags: i32) {
    GOT.store(-1, SeqCst);
    // SAFETY: the child has a stack of its own.
    let pid = unsafe { libc::clone(run, stack(), flags, ptr::null_mut()) };
    assert!(pid > 0, "clone: {}", std::io::Error::last_os_error());
    if FILE.load(SeqCst).is_null() {
        // SAFETY: its own child.
        unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
    } else {
        // Of a child with memory of its own nothing is seen.
        let patience = if flags & libc::CLONE_VM == 0 { 300 } else { 2000 };
        let deadline = Instant::now() + Duration::from_millis(patience);
        while GOT.load(SeqCst) < 0 && Instant::now() < deadline {
            std::hint::spin_loop();
        }
    }
    // SAFETY: bytes that are there.
    unsafe { libc::write(1, c"used\n".as_ptr().cast(), 5) };
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let file = CString::new(arguments.next().unwrap_or_default()).unwrap_or_default();
    SECOND.store(stack(), SeqCst);
    if kind != "work" {
        FILE.store(file.into_raw(), SeqCst);
    }
    for (name, run, flags) in [
        ("share", child as extern "C" fn(*mut libc::c_void) -> i32, SHARE),
        ("vfork", child, VFORK),
        ("files", child, FILES),
        ("orphan", leaves, SHARE),
    ] {
        if kind == "work" || kind == name {
            family(run, flags);
        }
    }
    exit(0);
}
