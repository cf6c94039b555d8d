//! Makes processes that share its memory and do nothing: `hoard FILE COUNT`. With `hoard FILE COUNT
//! loud` it then makes some more. Each of these makes the directory FILE.made, which none does
//! lawfully, and, if it lives then, the directory FILE.lives. At the end the program says how many
//! processes it has made.

#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::env::args;
use std::ffi::CString;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

const STACK: usize = 8192;
/// How many processes are loud.
const LOUD: usize = 20;

static MADE: AtomicPtr<libc::c_char> = AtomicPtr::new(ptr::null_mut());
static LIVES: AtomicPtr<libc::c_char> = AtomicPtr::new(ptr::null_mut());

extern "C" fn quiet(_: *mut libc::c_void) -> i32 {
    // SAFETY: numbers only. The process dies with its creator.
    unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        loop {
            libc::syscall(libc::SYS_pause);
        }
    }
}

extern "C" fn loud(_: *mut libc::c_void) -> i32 {
    // SAFETY: paths with their zeros.
    unsafe {
        libc::syscall(libc::SYS_mkdir, MADE.load(SeqCst), 0o700);
        libc::syscall(libc::SYS_mkdir, LIVES.load(SeqCst), 0o700);
        libc::syscall(libc::SYS_exit_group, 0);
    }
    0
}

fn main() {
    let arguments: Vec<String> = args().skip(1).collect();
    let count: usize = arguments[1].parse().unwrap();
    let loud_ones = if arguments.len() > 2 { LOUD } else { 0 };
    let path = |end: &str| CString::new(format!("{}.{end}", arguments[0])).unwrap().into_raw();
    MADE.store(path("made"), SeqCst);
    LIVES.store(path("lives"), SeqCst);
    let stacks = Box::leak(vec![0_u8; (count + loud_ones) * STACK].into_boxed_slice());
    let flags = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::SIGCHLD;
    let mut children = Vec::with_capacity(count + loud_ones);
    for (index, stack) in stacks.chunks_exact_mut(STACK).enumerate() {
        let run = if index < count { quiet } else { loud };
        // SAFETY: each child has a stack of its own.
        let child = unsafe {
            libc::clone(run, stack.as_mut_ptr_range().end.cast(), flags, ptr::null_mut())
        };
        if child < 0 {
            break;
        }
        children.push(child);
    }
    std::thread::sleep(Duration::from_millis(300));
    println!("{} made", children.len());
    for &child in &children {
        // SAFETY: its own children, which nobody else waits for.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, ptr::null_mut(), 0);
        }
    }
}
