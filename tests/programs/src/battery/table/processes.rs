//! Other processes: the helper, programs, children.

use super::super::attacker::Attacker;
use super::super::helper;
use super::super::outside::Outside;
use super::{entry, Entry, AT_FDCWD};
use libc::{SIGCHLD, SIGUSR1};

/// The scheduling policy that the helper is given, as `sched.h` numbers it.
const SCHED_BATCH: i32 = 3;

/// The helper's file descriptor.
fn pidfd(a: &mut Attacker) -> i64 {
    a.lawful(libc::SYS_pidfd_open, args![a.stage.helper, 0])
}

/// The path of the script, and the arguments that are this alone. In 32-bit words they are the
/// same: the upper halves of the first address and of the null are null.
fn script(a: &mut Attacker) -> (i64, i64) {
    let path = a.path("script");
    (path, a.words(&[path, 0]))
}

/// What a child does: it leaves a file.
fn child(a: &mut Attacker, result: i64) {
    if result == 0 {
        drop(std::fs::write(a.stage.path("made"), "child\n"));
        a.lawful(libc::SYS_exit_group, args![0]);
    }
}

/// A `siginfo` of the kind that a process may make up.
fn siginfo(a: &mut Attacker) -> i64 {
    let mut info = [0; 32];
    info[0] = SIGUSR1;
    info[2] = -1; // SI_QUEUE
    a.halves(&info)
}

pub const ENTRIES: &[Entry] = &[
    entry("kill", libc::SYS_kill, |a| args![a.stage.helper, SIGUSR1], Outside::helper_ended)
        .i386(37)
        .harms(),
    entry("tkill", libc::SYS_tkill, |a| args![a.stage.helper, SIGUSR1], Outside::helper_ended)
        .i386(238)
        .harms(),
    entry(
        "tgkill",
        libc::SYS_tgkill,
        |a| args![a.stage.helper, a.stage.helper, SIGUSR1],
        Outside::helper_ended,
    )
    .i386(270)
    .harms(),
    entry(
        "rt_sigqueueinfo",
        libc::SYS_rt_sigqueueinfo,
        |a| args![a.stage.helper, SIGUSR1, siginfo(a)],
        Outside::helper_ended,
    )
    .i386(178)
    .harms(),
    entry(
        "pidfd_send_signal",
        libc::SYS_pidfd_send_signal,
        |a| args![pidfd(a), SIGUSR1, 0, 0],
        Outside::helper_ended,
    )
    .i386(424)
    .harms(),
    entry(
        "ptrace-attach",
        libc::SYS_ptrace,
        |a| args![libc::PTRACE_ATTACH, a.stage.helper, 0, 0],
        Outside::helper_traced,
    )
    .i386(26)
    .harms(),
    entry(
        "process_vm_writev",
        libc::SYS_process_vm_writev,
        |a| {
            let text = a.text("forbid");
            let (ours, theirs) = (a.words(&[text, 6]), a.words(&[helper::PAGE.cast_signed(), 6]));
            args![a.stage.helper, ours, 1, theirs, 1, 0]
        },
        Outside::helper_written,
    )
    .harms(),
    entry(
        "pidfd_getfd",
        libc::SYS_pidfd_getfd,
        // The helper's standard error.
        |a| args![pidfd(a), 2, 0],
        |o| o.holds(&o.helper_link("fd/2")),
    )
    .i386(438),
    entry(
        "execve",
        libc::SYS_execve,
        |a| {
            let (path, arguments) = script(a);
            args![path, arguments, 0]
        },
        |o| o.exists("executed"),
    )
    .i386(11),
    entry(
        "execveat",
        libc::SYS_execveat,
        |a| {
            let (path, arguments) = script(a);
            args![AT_FDCWD, path, arguments, 0, 0]
        },
        |o| o.exists("executed"),
    )
    .i386(358),
    entry("fork", libc::SYS_fork, |_| args![], |o| o.soon(|o| o.exists("made")))
        .i386(2)
        .follow(child),
    entry("clone", libc::SYS_clone, |_| args![SIGCHLD], |o| o.soon(|o| o.exists("made")))
        .i386(120)
        .follow(child),
    entry(
        "clone3",
        libc::SYS_clone3,
        |a| {
            // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack,
            // stack_size, tls
            let how = a.words(&[0, 0, 0, 0, SIGCHLD.into(), 0, 0, 0]);
            args![how, 64]
        },
        |o| o.soon(|o| o.exists("made")),
    )
    .i386(435)
    .follow(child),
    entry(
        "prlimit64",
        libc::SYS_prlimit64,
        |a| args![a.stage.helper, libc::RLIMIT_CORE, a.words(&[1234, 5678])],
        |o| o.helper("limits").contains(" 1234 "),
    )
    .i386(340)
    .harms(),
    entry(
        "sched_setscheduler",
        libc::SYS_sched_setscheduler,
        |a| args![a.stage.helper, SCHED_BATCH, a.halves(&[0])],
        |o| o.helper_stat(41) == SCHED_BATCH.to_string(),
    )
    .i386(156)
    .harms(),
    entry(
        "setpriority",
        libc::SYS_setpriority,
        |a| args![libc::PRIO_PROCESS, a.stage.helper, 7],
        |o| o.helper_stat(19) == "7",
    )
    .i386(97)
    .harms(),
];
