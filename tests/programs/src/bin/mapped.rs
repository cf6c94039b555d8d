//! A program that runs code of a file: `mapped FILE CALL...` maps the file, waits for a line, and
//! makes each call, by its number, from the code at offset 4096 of the file. Then it waits until its
//! input ends.

#![allow(clippy::expect_used, unsafe_code)]

use std::fs::File;
use std::mem::transmute;
use std::os::fd::AsRawFd as _;
use std::process::exit;
use std::ptr;

/// Waits for a line of the input, or its end.
fn wait() {
    let mut line = [0_u8; 64];
    // SAFETY: memory of this length.
    unsafe { libc::read(0, line.as_mut_ptr().cast(), line.len()) };
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, calls) = arguments.split_first().expect("a file");
    let file = File::open(path).expect("the file");
    let rights = libc::PROT_READ | libc::PROT_EXEC;
    // SAFETY: a new mapping.
    let code = unsafe {
        libc::mmap(ptr::null_mut(), 4096, rights, libc::MAP_PRIVATE, file.as_raw_fd(), 4096)
    };
    assert_ne!(code, libc::MAP_FAILED);
    wait();
    for call in calls {
        let call: i64 = call.parse().expect("a number");
        // SAFETY: the test has put a function there that makes the call of its argument.
        let make: extern "C" fn(i64) -> i64 = unsafe { transmute(code) };
        make(call);
    }
    wait();
    exit(0);
}
