//! A program that hops: a child goes on, and its creator ends, again and again, so that its process
//! id is old as soon as somebody has read it.
//!
//! `hops FILE KIND SPIN COUNT` hops at most COUNT times, and spins SPIN times before each hop. The
//! FILE is shared memory, see [`Shared`]. The kinds: `fork`, `share` (memory and descriptors), `thread`
//! (of one process). `hops exec PROGRAM ...` execs another program with
//! the arguments behind. As the interpreter of a script it does what the script is told.
//!
//! The attack: FILE's order is `a`. Then the program makes the directory FILE.made, which it never
//! does lawfully, and says in FILE that it lives.

#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::env::args;
use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd as _;
use std::ptr;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicU8};

/// What the test and all processes of the program share.
#[repr(C)]
struct Shared {
    /// `a`: attack; `q`: end.
    order: AtomicU8,
    /// Whether a process has lived on after its attack.
    lives: AtomicU8,
    /// The hops so far.
    hops: AtomicU64,
    /// The rest of a page.
    _room: [u64; 510],
}

struct Plan {
    shared: &'static Shared,
    kind: Kind,
    spin: u64,
    count: u64,
    made: CString,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Fork,
    Share,
    Thread,
}

static PLAN: AtomicPtr<Plan> = AtomicPtr::new(ptr::null_mut());
const STACKS: usize = 64;
const STACK: usize = 16384;
static ALL_STACKS: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
/// Which stacks are in use: the kernel clears the field when its thread ends (`CLONE_CHILD_CLEARTID`).
static USED: [AtomicI32; STACKS] = [const { AtomicI32::new(0) }; STACKS];

fn free_stack() -> usize {
    loop {
        if let Some(free) = USED.iter().position(|used| used.load(SeqCst) == 0) {
            USED[free].store(1, SeqCst);
            return free;
        }
        std::hint::spin_loop();
    }
}

fn clone_flags(kind: Kind) -> i32 {
    let share = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_CHILD_CLEARTID;
    match kind {
        Kind::Fork => unreachable!(),
        Kind::Share => share,
        Kind::Thread => share | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_SYSVSEM,
    }
}

fn end(kind: Kind) -> ! {
    let call = if kind == Kind::Thread { libc::SYS_exit } else { libc::SYS_exit_group };
    // SAFETY: ends the caller.
    unsafe { libc::syscall(call, 0) };
    unreachable!()
}

/// Goes on from process to process. No process needs what another one's stack has.
extern "C" fn hop(_: *mut libc::c_void) -> i32 {
    // SAFETY: set before the first hop, and never freed.
    let plan = unsafe { &*PLAN.load(SeqCst) };
    loop {
        let hops = plan.shared.hops.fetch_add(1, SeqCst);
        match plan.shared.order.load(SeqCst) {
            b'a' => {
                // SAFETY: a path with its zero.
                unsafe { libc::syscall(libc::SYS_mkdir, plan.made.as_ptr(), 0o700) };
                plan.shared.lives.store(1, SeqCst);
                end(plan.kind);
            }
            b'q' => end(plan.kind),
            _ if hops >= plan.count => end(plan.kind),
            _ => {}
        }
        for _ in 0..plan.spin {
            std::hint::spin_loop();
        }
        // SAFETY: the child runs on a stack that nobody uses.
        let child = unsafe {
            match plan.kind {
                Kind::Fork => libc::syscall(libc::SYS_fork),
                kind => {
                    let index = free_stack();
                    let top = ALL_STACKS.load(SeqCst).add((index + 1) * STACK);
                    let (none, used) = (ptr::null_mut::<libc::c_void>(), USED[index].as_ptr());
                    libc::clone(hop, top.cast(), clone_flags(kind), none, none, none, used).into()
                }
            }
        };
        if child != 0 {
            end(plan.kind);
        }
    }
}

fn main() {
    let mut arguments: Vec<String> = args().skip(1).collect();
    if arguments[0] == "script" {
        // The interpreter of a script, whose path comes next.
        arguments.drain(..2);
    }
    if arguments[0] == "exec" {
        let arguments: Vec<CString> =
            arguments[1..].iter().map(|a| CString::new(a.as_str()).unwrap()).collect();
        let mut pointers: Vec<_> = arguments.iter().map(|a| a.as_ptr()).collect();
        pointers.push(ptr::null());
        // SAFETY: texts with their zeros, and a list with its end.
        unsafe { libc::execv(pointers[0], pointers.as_ptr()) };
        panic!("exec: {}", std::io::Error::last_os_error());
    }
    let kind = match &*arguments[1] {
        "fork" => Kind::Fork,
        "share" => Kind::Share,
        "thread" => Kind::Thread,
        other => panic!("no kind of hop: {other}"),
    };
    let file = OpenOptions::new().read(true).write(true).open(&arguments[0]).unwrap();
    // Or a machine with one processor would do little else: each child is a new claim to it.
    // SAFETY: changes the caller's priority alone.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
    // SAFETY: a new mapping of a file that is as long; its fields are atomic.
    let shared = unsafe {
        let at = libc::mmap(
            ptr::null_mut(),
            size_of::<Shared>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        assert_ne!(at, libc::MAP_FAILED);
        &*at.cast::<Shared>()
    };
    let plan = Plan {
        shared,
        kind,
        spin: arguments[2].parse().unwrap(),
        count: arguments[3].parse().unwrap(),
        made: CString::new(format!("{}.made", arguments[0])).unwrap(),
    };
    ALL_STACKS.store(Box::leak(vec![0_u8; STACKS * STACK].into_boxed_slice()).as_mut_ptr(), SeqCst);
    PLAN.store(Box::leak(Box::new(plan)), SeqCst);
    hop(ptr::null_mut());
}
