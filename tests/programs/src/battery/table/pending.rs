//! What the kernel does later, or for another call: requests of aio, a traced process that goes on.

use super::super::attacker::Attacker;
use super::super::helper::EVENTS;
use super::super::outside::Outside;
use super::held::held;
use super::{entry, entry_i386, Entry};
use libc::SIGSTOP;

/// `aio_abi.h`: waits for a descriptor's input, and adds to a count of events then.
const IOCB_CMD_POLL: i64 = 5;
const IOCB_CMD_PWRITE: i64 = 1;
const IOCB_FLAG_RESFD: i64 = 1;

/// Where a call's result is in `struct user` and in `struct user32`.
const RAX: i64 = 80;
const EAX: i64 = 24;

/// Where 32-bit calls find the context of aio.
const CONTEXT: i64 = 0x3500_0000;

/// A request whose completion adds to the helper's count of events: a `struct iocb`.
fn request(a: &mut Attacker) -> i64 {
    let to = held(a, EVENTS);
    let ready = a.lawful(libc::SYS_eventfd2, args![1, 0]);
    let input = i64::from(libc::POLLIN);
    a.words(&[0, 0, IOCB_CMD_POLL | ready << 32, input, 0, 0, 0, IOCB_FLAG_RESFD | to << 32])
}

/// A context of aio, lawfully.
fn context(a: &mut Attacker) -> i64 {
    let at = a.words(&[0]);
    a.lawful(libc::SYS_io_setup, args![8, at]);
    let [low, high] = a.read_halves(at);
    i64::from(low.cast_unsigned()) | i64::from(high) << 32
}

/// A context of aio where 32-bit calls find it: where the kernel puts one is its own choice.
fn low_context(a: &mut Attacker) -> i64 {
    let (context, flags) = (context(a), libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED);
    a.lawful(libc::SYS_mremap, args![context, 4096, 4096, flags, CONTEXT]);
    CONTEXT
}

/// A list of one request of aio: to write to the stage's file.
fn write(a: &mut Attacker) -> i64 {
    let file = a.open("file", libc::O_WRONLY);
    let text = a.text("forbid");
    let request = a.words(&[0, 0, IOCB_CMD_PWRITE | file << 32, text, 6, 0, 0, 0]);
    a.words(&[request])
}

/// A child of the attacker's that it traces, lawfully: stopped, in a call that has returned 0. When it
/// goes on, since it was told to or the attacker is dead, it makes a file if the call returns
/// something else to it: somebody has written to its registers.
fn traced(a: &mut Attacker) -> i64 {
    a.child = a.lawful(libc::SYS_fork, args![]);
    if a.child == 0 {
        // The attacker's group is killed when it has ended.
        a.lawful(libc::SYS_setpgid, args![0, 0]);
        a.lawful(libc::SYS_ptrace, args![libc::PTRACE_TRACEME]);
        let own = a.lawful(libc::SYS_getpid, args![]);
        if a.lawful(libc::SYS_kill, args![own, SIGSTOP]) != 0 {
            drop(std::fs::write(a.stage.path("made"), "child\n"));
        }
        a.lawful(libc::SYS_exit_group, args![0]);
    }
    a.lawful(libc::SYS_wait4, args![a.child, 0, 0, 0]);
    a.child
}

/// Lets the child go on, lawfully.
fn go_on(a: &mut Attacker, _: i64) {
    a.lawful(libc::SYS_ptrace, args![libc::PTRACE_CONT, a.child, 0, 0]);
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "io_submit-event",
        libc::SYS_io_submit,
        |a| {
            let request = request(a);
            args![context(a), 1, a.words(&[request])]
        },
        Outside::helper_event,
    )
    .harms(),
    entry_i386(
        "io_submit-event",
        248,
        |a| {
            let request = request(a);
            args![low_context(a), 1, a.words(&[request])]
        },
        Outside::helper_event,
    )
    .harms(),
    entry(
        "io_submit-pwrite",
        libc::SYS_io_submit,
        |a| args![context(a), 1, write(a)],
        Outside::rewritten,
    ),
    entry_i386("io_submit-pwrite", 248, |a| args![low_context(a), 1, write(a)], Outside::rewritten),
    entry(
        "ptrace-pokeuser",
        libc::SYS_ptrace,
        |a| args![libc::PTRACE_POKEUSER, traced(a), RAX, 1],
        |o| o.soon(|o| o.exists("made")),
    )
    .follow(go_on),
    entry_i386(
        "ptrace-pokeuser",
        26,
        |a| args![libc::PTRACE_POKEUSER, traced(a), EAX, 1],
        |o| o.soon(|o| o.exists("made")),
    )
    .follow(go_on),
];
