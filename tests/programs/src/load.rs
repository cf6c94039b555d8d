//! What instructions are counted of, and times are taken of: lines of a log, and calls of a program
//! in its loop.

use std::fmt::Write as _;
use sysfsm::machine::{Context, Count, Depth, Judge, Machine};
use sysfsm::syscall::{nr, Symbol};

/// Calls in turn, as a program in its loop makes them.
pub const LOOP: [u32; 8] = [0, 1, 3, 257, 262, 9, 11, 202];

/// Judges a program that makes them.
pub fn judge(depth: Depth) -> Judge {
    let mut machine = Machine::new(depth);
    let mut context = Context::start(Symbol::Call(nr::EXECVE), depth);
    for number in LOOP.into_iter().cycle().take(100) {
        machine.insert(context, Symbol::Call(number), Count::default());
        context = context.then(Symbol::Call(number), depth);
    }
    Judge::new(&machine)
}

/// A log of `blocks` blocks of four lines: of one program, or of two threads that interrupt each
/// other.
pub fn log(blocks: u64, threads: bool) -> String {
    let mut text = String::from("7 execve(\"/bin/a\", [\"a\"], 0x7ffe /* 9 vars */) = 0\n");
    if threads {
        text.push_str("7 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 8\n");
    }
    for i in 0..blocks {
        let _ = if threads {
            write!(
                text,
                "7 read(3,  <unfinished ...>\n8 futex(0x7f00, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>\n\
                 7 <... read resumed>\"abc\", 4096) = {i}\n8 <... futex resumed>) = 0\n"
            )
        } else {
            write!(
                text,
                "7 openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY|O_CLOEXEC) = 3\n\
                 7 read(3, \"\\177ELF\\2\\1\\1\\3\\0\\0\"..., 4096) = {i}\n\
                 7 newfstatat(3, \"\", {{st_mode=S_IFREG|0644, st_size=14, ...}}, AT_EMPTY_PATH) = 0\n7 close(3) = 0\n"
            )
        };
    }
    text
}
