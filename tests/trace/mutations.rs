//! Whatever a log has in it, reading neither panics nor emits events that are not possible: a
//! thread is made once and ends once, and every thread ends.

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashSet;
use sysfsm::event::{Event, EventKind, Tid};
use sysfsm::trace::{Member, Reader};

/// Lines of many shapes; the mutations put them in any order and break them anywhere.
const LINES: &[&str] = &[
    "execve(\"/bin/sh\", [\"sh\"], 0x7ffd /* 9 vars */) = 0",
    "execve(\"/bin/sh\", [\"sh\"], 0x7ffd <unfinished ...>",
    "execve(\"/b\", [], NULL <pid changed to 2 ...>",
    "+++ superseded by execve in pid 3 +++",
    "<... execve resumed>) = 0",
    "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 3",
    "clone(child_stack=NULL, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD <unfinished ...>",
    "clone( <unfinished ...>",
    "<... clone resumed>, child_tidptr=0x7f) = 4",
    "<... clone resumed> child_stack=0, flags=CLONE_SIGHAND|CLONE_THREAD) = 2",
    "clone(child_stack=NULL, flags=SIGCHLDstrace: Process 4 attached",
    ", child_tidptr=0x7f) = 4",
    "vfork(strace: Process 5 attached",
    " <unfinished ...>",
    "vfork( <unfinished ...>",
    "<... vfork resumed>) = 5",
    "fork() = 2",
    "fork( <unfinished ...>",
    "<... fork resumed>) = -1 EAGAIN (x)",
    "--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER} ---",
    "--- SIGUSR2 {si_signo=SIGUSR2, si_code=SI_USER} ---",
    "--- stopped by SIGSTOP ---",
    "rt_sigaction(SIGUSR1, {sa_handler=0x5, sa_mask=[], sa_flags=SA_RESETHAND}, NULL, 8) = 0",
    "rt_sigaction(SIGUSR1, {SIG_DFL, [], 0}, NULL, 8) = 0",
    "rt_sigreturn({mask=[]}) = 0",
    "rt_sigreturn() = 0",
    "read(0, \"\\n\", 1) = 1",
    "write(1, \"hi\", 3hi",
    ") = 3",
    "exit(0) = ?",
    "exit_group(0) = ?",
    "<... exit_group resumed>) = ?",
    "+++ exited with 0 +++",
    "+++ killed by SIGKILL +++",
    "[ Process PID=3 runs in 32 bit mode. ]",
    "frobnicate(1) = 0",
    "mmap2(NULL) = 0",
    " > /lib/libc.so.6(x+0x1) [0x2]",
    "% time     seconds  usecs/call     calls    errors syscall",
    "------ ----------- ----------- --------- --------- ----------------",
    "\u{1b}[1mread\u{1b}[0m(0) = 0",
    "strace: Process 2 attached",
];

/// Reads, and checks that the events are possible.
fn check(run: impl FnOnce(&mut Reader, &mut dyn FnMut(Event))) -> Result<(), TestCaseError> {
    let mut alive: HashSet<Tid> = HashSet::new();
    let mut wrong = Vec::new();
    let mut calls = 0;
    let mut reader = Reader::new();
    run(&mut reader, &mut |event| {
        if event.kind != EventKind::End {
            alive.insert(event.tid);
        }
        match event.kind {
            EventKind::Spawn { child, .. } if !alive.insert(child) => wrong.push(event),
            EventKind::Renamed(tid) => {
                alive.remove(&event.tid);
                if !alive.insert(tid) {
                    wrong.push(event);
                }
            }
            // A thread of which only the end is emitted is a thread too.
            EventKind::End => {
                alive.remove(&event.tid);
            }
            EventKind::Call(_) => calls += 1,
            _ => {}
        }
    });
    prop_assert_eq!(wrong, vec![]);
    prop_assert!(alive.is_empty(), "not ended: {:?}", alive);
    prop_assert_eq!(reader.report().calls, calls);
    Ok(())
}

fn read(log: &[u8]) -> Result<(), TestCaseError> {
    check(|reader, sink| reader.read(0, log, &mut |e| sink(e)).unwrap())
}

fn line() -> impl Strategy<Value = String> {
    let pid = prop_oneof![
        Just(String::new()),
        (1..7_u32).prop_map(|p| format!("{p} ")),
        (1..7_u32).prop_map(|p| format!("[pid {p}] "))
    ];
    (pid, proptest::sample::select(LINES)).prop_map(|(pid, text)| format!("{pid}{text}\n"))
}

fn named_line() -> impl Strategy<Value = String> {
    (1..7_u32, proptest::sample::select(LINES)).prop_map(|(pid, text)| format!("{pid} {text}\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(log in vec(any::<u8>(), 0..400)) {
        read(&log)?;
    }

    #[test]
    fn lines_in_any_order_give_possible_events(lines in vec(line(), 0..60)) {
        read(lines.concat().as_bytes())?;
    }

    #[test]
    fn named_lines_in_any_order_give_possible_events(lines in vec(named_line(), 0..80)) {
        read(lines.concat().as_bytes())?;
    }

    #[test]
    fn broken_lines_give_possible_events(
        lines in vec(line(), 1..40),
        wounds in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..12),
    ) {
        let mut log = lines.concat().into_bytes();
        for (at, byte, how) in wounds {
            let at = at.index(log.len());
            match how {
                0 => log[at] = byte,
                1 => log.insert(at, byte),
                _ => { log.remove(at); if log.is_empty() { log.push(byte) } }
            }
        }
        read(&log)?;
    }

    #[test]
    fn families_give_possible_events(files in vec(vec(proptest::sample::select(LINES), 0..20), 1..6)) {
        let files: Vec<String> = files.iter().map(|f| f.join("\n")).collect();
        let members: Vec<Member> = (0..).take(files.len()).map(|file| Member { file, pid: file + 1 }).collect();
        check(|reader, sink| {
            reader.read_family(&members, &mut |i| Ok(files[i].as_bytes()), &mut |e| sink(e)).unwrap();
        })?;
    }
}
