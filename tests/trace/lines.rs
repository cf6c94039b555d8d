//! Lines of strace, of many versions and options, and their events.

use std::fmt::Write as _;
use sysfsm::event::{Event, EventKind};
use sysfsm::syscall::{signal_name, CallName};
use sysfsm::trace::{Member, Reader, Report, SetAside, Warning};

/// One event as one word: `12:read`, `12:exec(/bin/ls)`, `12:+13` (a process), `12:&13` (a thread),
/// `12:@SIGUSR1`, `12:->13` (renamed), `12:end`.
fn word(event: &Event) -> String {
    let what = match &event.kind {
        EventKind::Call(number) => CallName(*number).to_string(),
        EventKind::Foreign(abi, name) => format!("{abi:?}!{name}"),
        EventKind::Unknown(name) => format!("?{name}"),
        EventKind::Exec(path) => format!("exec({path})"),
        EventKind::Spawn { child, same_group: false } => format!("+{child}"),
        EventKind::Spawn { child, same_group: true } => format!("&{child}"),
        EventKind::SetupFailed => "!".into(),
        EventKind::Signal(n) => format!("@{}", signal_name(*n).unwrap_or_default()),
        EventKind::Renamed(tid) => format!("->{tid}"),
        EventKind::End => "end".into(),
    };
    format!("{}:{what}", event.tid)
}

fn read(log: &[u8]) -> (String, Report) {
    let mut words = Vec::new();
    let mut reader = Reader::new();
    reader.read(0, log, &mut |e| words.push(word(&e))).unwrap();
    (words.join(" "), reader.report().clone())
}

/// The log has these events, and none of its lines is set aside.
#[track_caller]
fn emits(log: &str, events: &str) -> Report {
    let (found, report) = read(log.as_bytes());
    let wanted: Vec<&str> = events.split_whitespace().collect();
    assert_eq!(found, wanted.join(" "));
    assert_eq!(report.set_aside, [], "{log}");
    report
}

/// The log has these events, and lines of these kinds are set aside.
#[track_caller]
fn sets_aside(log: &str, events: &str, kinds: &[SetAside]) -> Report {
    let (found, report) = read(log.as_bytes());
    let wanted: Vec<&str> = events.split_whitespace().collect();
    assert_eq!(found, wanted.join(" "));
    let mut set_aside = Vec::new();
    for (kind, seen) in &report.set_aside {
        set_aside.extend(std::iter::repeat_n(*kind, usize::try_from(seen.count).unwrap()));
    }
    assert_eq!(set_aside, kinds, "{log}");
    report
}

fn warns(report: &Report, test: fn(&Warning) -> bool) -> bool {
    report.warnings.iter().any(test)
}

const RET_7F: &str = "sa_mask=[], sa_flags=SA_RESTORER, sa_restorer=0x7f}, NULL, 8) = 0";

#[test]
fn a_log_without_columns_is_one_thread() {
    let report = emits(
        "execve(\"/bin/true\", [\"true\"], 0x7ffd /* 20 vars */) = 0\n\
         brk(NULL)                               = 0x55d\n\
         access(\"/etc/ld.so.preload\", R_OK)      = -1 ENOENT (No such file or directory)\n\
         exit_group(0)                           = ?\n\
         +++ exited with 0 +++\n",
        "0:execve 0:exec(/bin/true) 0:brk 0:access 0:exit_group 0:end",
    );
    assert_eq!((report.lines, report.calls, report.threads), (5, 4, 1));
    assert_eq!(report.warnings, []);
}

#[test]
fn several_logs_in_one_file_have_several_threads() {
    let run =
        "execve(\"/a\", [], 0x7 /* 0 vars */) = 0\nfork() = 9\nexit_group(0) = ?\n+++ exited with 0 +++\n";
    let once = "0:execve 0:exec(/a) 0:fork 0:+9 0:exit_group 0:end";
    let again = "9:end"; // Its number came again before it was ever heard of.
    let report = emits(
        &run.repeat(2),
        &format!("{once} 0:execve 0:exec(/a) 0:fork {again} 0:+9 0:exit_group 0:end 9:end"),
    );
    assert_eq!(report.threads, 4);
    assert!(warns(&report, |w| matches!(w, Warning::ChildrenMissing { .. })));
}

#[test]
fn unfinished_and_resumed_calls_are_emitted_at_their_entry() {
    for (open, close) in [
        ("read(0,  <unfinished ...>", "<... read resumed> \"x\", 1) = 1"), // before 5.0
        ("read(0, <unfinished ...>", "<... read resumed>\"x\", 1)       = 1"), // 5.0 to 6.x
        ("read(0 <unfinished ...>", "<... read resumed>, \"x\", 1) = 1"),  // 7.2
        ("read(0 <unfinished ...>", "<... ??? resumed>) = ? ERESTARTSYS (To be restarted)"),
        (
            "restart_syscall(<... resuming interrupted read ...> <unfinished ...>",
            "<... restart_syscall resumed>) = 1",
        ),
    ] {
        let name = open.split('(').next().unwrap();
        emits(
            &format!("1 {open}\n2 getpid() = 2\n1 {close}\n1 close(3) = 0\n"),
            &format!("1:{name} 2:getpid 1:close 1:end 2:end"),
        );
    }
}

#[test]
fn calls_that_never_return_are_understood() {
    emits(
        "1 futex(0x7f, FUTEX_WAIT <unfinished ...>) = ?\n\
         1 +++ killed by SIGKILL +++\n\
         2 read(0, <unfinished ...>\n\
         2 <... read resumed> <unfinished ...>) = ?\n\
         2 +++ killed by SIGSEGV (core dumped) +++\n\
         3 pause() = ? <unavailable>\n\
         4 read(0,  <detached ...>\n\
         5 read(0, <unfinished ...>\n \
          <detached ...>\n\
         6 exit_group(0 <unfinished ...>\n\
         7 <... exit_group resumed>) = ?\n\
         6 <... exit_group resumed>) = ?\n\
         6 +++ exited with 0 +++\n",
        "1:futex 1:end 2:read 2:end 3:pause 4:read 5:read 6:exit_group 6:end 3:end 4:end 5:end",
    );
}

#[test]
fn stacks_dumps_summaries_and_messages_are_neither_events_nor_set_aside() {
    emits(
        "strace: Process 5 attached\n\
         5 read(0, \"hi\", 5) = 2\n \
         > /usr/lib/libc.so.6(__read+0x1c) [0xf69dc]\n \
         > /bin/cat() [0x2b31]\n \
         | 00000  68 69                                             hi               |\n \
         * 2 bytes in buffer 0\n \
         VCPU:0> {rip=0x7f}\n\
         strace: Process 5 detached\n\
         \n\
         % time     seconds  usecs/call     calls    errors syscall\n\
         ------ ----------- ----------- --------- --------- ----------------\n \
         50.00    0.000010          10         1           read\n\
         ------ ----------- ----------- --------- --------- ----------------\n\
         100.00    0.000010          10         1           total\n",
        "5:read 5:end",
    );
}

#[test]
fn columns_and_colours_change_nothing() {
    let plain = "7 read(0, \"\", 1) = 0\n";
    for columns in [
        "7     12:13:14.123456 ",
        "[pid     7] ",
        "7<a b> 1700000000.123456 ",
        "7 [sys_u:r:t:s0] [  0] [00007f0a1b2c3d4e] ",
        "7      0.000123 ",
        "\u{1b}[35m7\u{1b}[0m ",
        "7 1700000000 ",
    ] {
        let body = plain.split_once(' ').unwrap().1;
        assert_eq!(
            read(format!("{columns}{body}").as_bytes()).0,
            read(plain.as_bytes()).0,
            "{columns}"
        );
    }
    assert_eq!(read(plain.replace('\n', "\r\n").as_bytes()).0, "7:read 7:end");
}

#[test]
fn children_and_threads_are_emitted_when_their_call_returns() {
    emits(
        "1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 2\n\
         1 clone3({flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD, stack=0x7f} => {parent_tid=[3]}, 88) = 3\n\
         1 vfork() = 4\n\
         1 fork() = -1 EAGAIN (Resource temporarily unavailable)\n\
         1 fork() = ? ERESTARTNOINTR (To be restarted)\n\
         1 fork() = 2 /* 1234 in strace's PID NS */\n\
         1 fork() = 6<sh>\n\
         1234 getpid() = 2\n",
        "1:clone 1:+2 1:clone3 1:&3 1:vfork 1:+4 1:fork 1:fork 1:fork 1:+1234 1:fork 1:+6 1234:getpid
         1:end 2:end 3:end 4:end 1234:end 6:end",
    );
}

#[test]
fn a_child_may_speak_before_its_creators_call_returns() {
    emits(
        "1 vfork( <unfinished ...>\n2 execve(\"/a\", [\"a\"], NULL) = 0\n1 <... vfork resumed>) = 2\n",
        "1:vfork 1:+2 2:execve 2:exec(/a) 1:end 2:end",
    );
    // Before 4.13 the flags are printed at the return. Until then the child may be a thread or a
    // process.
    emits(
        "1 clone( <unfinished ...>\n2 getpid() = 1\n1 <... clone resumed> child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 2\n",
        "1:clone 1:&2 2:getpid 1:end 2:end",
    );
}

#[test]
fn many_threads_may_be_made_before_the_first_of_them_speaks_and_die_at_once() {
    let flags = "CLONE_VM|CLONE_SIGHAND|CLONE_THREAD";
    let mut log = String::from("1 execve(\"/a\", [], NULL) = 0\n");
    let mut events = String::from("1:execve 1:exec(/a)");
    let threads = || 2..6000;
    for tid in threads() {
        writeln!(log, "1 clone(child_stack=0x7f, flags={flags}) = {tid}").unwrap();
        write!(events, " 1:clone 1:&{tid}").unwrap();
    }
    for tid in threads() {
        writeln!(log, "{tid} pause( <unfinished ...>").unwrap();
        write!(events, " {tid}:pause").unwrap();
    }
    log += "1 exit_group(0 <unfinished ...>\n";
    events += " 1:exit_group 1:end";
    for tid in threads() {
        write!(log, "{tid} <... pause resumed>) = ?\n{tid} +++ exited with 0 +++\n").unwrap();
        write!(events, " {tid}:end").unwrap();
    }
    let report = emits(&log, &events);
    assert_eq!(report.threads, 5999);
    assert!(!warns(&report, |w| matches!(w, Warning::Filtered { .. })));
}

#[test]
fn a_thread_killed_inside_the_call_may_leave_a_child() {
    const BEGIN: &str = "1 execve(\"/d\", [\"d\"], 0x7f /* 1 var */) = 0\n";
    let child = "2 getpid() = 2\n2 exit_group(0) = ?\n";
    let report = emits(
        &format!("{BEGIN}1 fork( <unfinished ...>\n1 +++ killed by SIGKILL +++\n{child}"),
        "1:execve 1:exec(/d) 1:fork 1:+4294967295 1:end 4294967295:->2 2:getpid 2:exit_group 2:end",
    );
    assert_eq!((report.threads, report.warnings), (2, vec![]));
    emits(
        &format!("{BEGIN}1 fork() = ?\n{child}1 +++ killed by SIGKILL +++\n"),
        "1:execve 1:exec(/d) 1:fork 1:+2 2:getpid 2:exit_group 2:end 1:end",
    );
    // No child has a line: there is none. A child of the same group is killed with its creator.
    let silent = emits(
        &format!("{BEGIN}1 fork() = ?\n1 +++ killed by SIGKILL +++\n"),
        "1:execve 1:exec(/d) 1:fork 1:+4294967295 1:end 4294967295:end",
    );
    assert_eq!(silent.threads, 1);
    emits(
        &format!(
            "{BEGIN}1 clone(flags=CLONE_VM|CLONE_THREAD <unfinished ...>\n1 +++ killed by SIGKILL +++\n"
        ),
        "1:execve 1:exec(/d) 1:clone 1:end",
    );
    // A call that was interrupted before it made a child.
    emits(
        &format!("{BEGIN}1 fork() = ? ERESTARTNOINTR (To be restarted)\n1 fork() = 2\n{child}"),
        "1:execve 1:exec(/d) 1:fork 1:fork 1:+2 2:getpid 2:exit_group 2:end 1:end",
    );
}

#[test]
fn with_several_possible_creators_a_child_waits() {
    emits(
        "2 getpid() = 2\n\
         1 fork( <unfinished ...>\n\
         2 fork( <unfinished ...>\n\
         3 getpid() = 3\n\
         4 gettid() = 4\n\
         2 <... fork resumed>) = 3\n\
         1 <... fork resumed>) = 4\n",
        "2:getpid 1:fork 2:fork 2:+3 3:getpid 1:+4 4:gettid 2:end 1:end 3:end 4:end",
    );
    // The child may end before its creator is known.
    emits(
        "2 getpid() = 2\n1 fork( <unfinished ...>\n2 fork( <unfinished ...>\n3 exit_group(0) = ?\n3 +++ exited with 0 +++\n\
         2 <... fork resumed>) = -1 EAGAIN (x)\n1 <... fork resumed>) = 3\n",
        "2:getpid 1:fork 2:fork 1:+3 3:exit_group 3:end 2:end 1:end",
    );
}

#[test]
fn a_wait_that_is_too_long_ends_with_a_guess() {
    let log = format!(
        "2 getpid() = 2\n1 fork( <unfinished ...>\n2 fork( <unfinished ...>\n{}",
        "3 getpid() = 3\n".repeat(5000)
    );
    let (words, report) = read(log.as_bytes());
    assert!(words.starts_with("2:getpid 1:fork 2:fork 2:+3 3:getpid"));
    assert_eq!(report.calls, 5003);
    assert!(warns(&report, |w| matches!(w, Warning::GuessedParents { .. })));
}

#[test]
fn an_id_that_comes_again_is_another_thread() {
    let report = emits(
        "1 fork() = 2\n2 getpid() = 2\n1 fork() = 2\n2 gettid() = 2\n",
        "1:fork 1:+2 2:getpid 1:fork 2:end 1:+2 2:gettid 1:end 2:end",
    );
    assert_eq!(report.threads, 3);
}

#[test]
fn on_stderr_the_first_thread_has_no_name_until_it_has_a_child() {
    let wanted = "0:execve 0:exec(/bin/sh) 0:clone 0:+11 11:getpid 0:wait4 11:exit_group 11:end 0:getppid 0:clone 0:+12 \
         12:exit_group 12:end 0:exit_group 0:end";
    let glued = "execve(\"/bin/sh\", [\"sh\"], 0x7ffd /* 9 vars */) = 0\n\
         clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLDstrace: Process 11 attached\n\
         , child_tidptr=0x7f0d8e0c5a10) = 11\n\
         [pid    11] getpid() = 11\n\
         [pid    10] wait4(-1,  <unfinished ...>\n\
         [pid    11] exit_group(0) = ?\n\
         [pid    11] +++ exited with 0 +++\n\
         <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 11\n\
         getppid() = 1\n\
         clone(child_stack=NULL, flags=SIGCHLDstrace: Process 12 attached\n \
         <unfinished ...>\n\
         [pid    12] exit_group(0) = ?\n\
         [pid    10] <... clone resumed>, child_tidptr=0x7f0d8e0c5a10) = 12\n\
         [pid    12] +++ exited with 0 +++\n\
         exit_group(0) = ?\n\
         +++ exited with 0 +++\n";
    emits(glued, wanted);
    // -q: no messages. The child, or the parent, may be the first to be named.
    let quiet = glued
        .replace("SIGCHLDstrace: Process 11 attached\n, ", "SIGCHLD, ")
        .replace("SIGCHLDstrace: Process 12 attached\n <unf", "SIGCHLD <unf");
    assert!(!quiet.contains("attached"));
    emits(&quiet, wanted);
    // Where clone's arguments are printed at its return (up to 4.12).
    let old = quiet
        .replace("clone(child_stack=NULL, flags=SIGCHLD <", "clone(Process 12 attached\n <")
        .replace("clone resumed>, ch", "clone resumed> child_stack=0, flags=SIGCHLD, ch");
    emits(&old, wanted);
}

#[test]
fn on_stderr_the_last_thread_may_be_a_child_that_never_spoke() {
    // -q: no `Process 2 attached`.
    emits(
        "fork() = 2\n[pid 1] exit_group(0) = ?\n[pid 1] +++ exited with 0 +++\ngetpid() = 2\nfork() = 3\n[pid 2] getpid() = 2\n",
        "0:fork 0:+2 0:exit_group 0:end 2:getpid 2:fork 2:+3 2:getpid 3:end 2:end",
    );
    // Without -f it is another log.
    emits(
        "fork() = 2\nexit_group(0) = ?\n+++ exited with 0 +++\ngetpid() = 7\n",
        "0:fork 0:+2 0:exit_group 0:end 0:getpid 0:end 2:end",
    );
}

#[test]
fn messages_and_output_may_interrupt_a_line() {
    emits(
        "vfork(strace: Process 12 attached\n) = 12\nwrite(1, \"hi\\n\", 3hi\n) = 3\ngetpid() = 1\n",
        "0:vfork 0:+12 0:write 0:getpid 0:end 12:end",
    );
    emits(
        "write(1, \"hi\", 2hi) = 2\nhello worldread(0, \"\", 1) = 0\nbye+++ exited with 0 +++\n",
        "0:write 0:read 0:end",
    );
    emits(
        "[pid 1] fork() = 2\nhello[pid 2] write(1, \"\", 0) = 0\n",
        "1:fork 1:+2 2:write 1:end 2:end",
    );
    // A line behind the exit call of a thread is not the rest of a sibling's call.
    for rest in [") = ?", " <unfinished ...>"] {
        emits(
            &format!(
                "[pid 1] fork() = 2\n[pid 1] fork( <unfinished ...>\n[pid 2] exit_group(0strace: Process 3 attached\n\
                 {rest}\n[pid 1] <... fork resumed>) = 3\n[pid 3] getpid() = 3\n"
            ),
            "1:fork 1:+2 1:fork 2:exit_group 2:end 1:+3 3:getpid 1:end 3:end",
        );
    }
    // Under -z strace 6.1 does not say whose call returns.
    emits(
        "5 getgid( <unfinished ...>\n)                = 0\n5 getpid() = 5\n",
        "5:getgid 5:getpid 5:end",
    );
    // A dump of what was written is no rest of a line, whatever it looks like.
    emits(
        "5 fork() = 6\n5 wait4(-1,  <unfinished ...>\n6 write(1, \"a) = 3\", 6) = 6\n | 00000  61 29 20 3d 20 33    a) = 3           |\n\
         5 <... wait4 resumed>NULL, 0, NULL) = 6\n",
        "5:fork 5:+6 5:wait4 6:write 5:end 6:end",
    );
}

#[test]
fn what_is_not_understood_is_set_aside() {
    use SetAside::{Cut, Junk, NoBeginning, UnknownCall};
    sets_aside(
        "$ strace ls\nread(0, \"\", 1) = 0\nhello (world)\ntime(s): 4\n12 apples\n",
        "0:read 0:time 0:end",
        &[Junk, Junk, Junk, Cut],
    );
    sets_aside("read(0, \"\", 1) = 0\nwri", "0:read 0:end", &[Cut]);
    sets_aside("read(0, \"\", 1) = 0\nwrite(1, \"", "0:read 0:write 0:end", &[Cut]);
    sets_aside("1 read(0, \"ab\n1 write(1, \"\", 0) = 0\n", "1:read 1:write 1:end", &[Cut]);
    let report = sets_aside(
        "1 <... read resumed>) = 0\n1 getpid() = 1\n1 <... read resumed>) = 0\n",
        "1:getpid 1:?read 1:end",
        &[NoBeginning, NoBeginning],
    );
    assert!(warns(&report, |w| matches!(w, Warning::NoBeginning { calls } if calls.count == 2)));
    sets_aside(
        "1 frobnicate(1) = 0\n1 frobnicate(2 <unfinished ...>\n",
        "1:?frobnicate 1:?frobnicate 1:end",
        &[UnknownCall, UnknownCall],
    );
    sets_aside("--- SIGCHLD {si_signo=SIGCH", "", &[Cut]);
}

#[test]
fn numbers_and_old_names_are_understood() {
    emits("syscall_0x1(1) = 0\nsyscall_1(1) = 0\nSYS_1(1) = 0\nsyscall_0xffffffffffffffff() = -1 ENOSYS (x)\npread(3) = 0\n_exit(0) = ?\n",
        "0:write 0:write 0:write 0:syscall_4294967295 0:pread64 0:exit 0:end");
}

#[test]
fn foreign_calls_are_distinguished_from_those_of_the_64_bit_table() {
    emits(
        "readv#64(3, [], 0) = 0\n64:readv(3, [], 0) = 0\nread(3) = 0\n",
        "0:X32!readv 0:X32!readv 0:read 0:end",
    );
    let report = emits(
        "1 execve(\"/a32\", [], NULL) = 0\n\
         1 [ Process PID=1 runs in 32 bit mode. ]\n\
         1 brk(NULL) = 0x5\n\
         1 fork() = 2\n\
         2 read(0, \"\", 1) = 0\n\
         2 execve(\"/b64\", [], NULL <unfinished ...>\n\
         2 [ Process PID=2 runs in 64 bit mode. ]\n\
         2 <... execve resumed>) = 0\n\
         2 brk(NULL) = 0x5\n\
         1 [ Process PID=1 runs in x32 mode. ]\n\
         1 getpid() = 1\n",
        "1:execve 1:exec(/a32) 1:I386!brk 1:I386!fork 1:+2 2:I386!read 2:I386!execve 2:exec(/b64) 2:brk 1:X32!getpid
         1:end 2:end",
    );
    assert!(warns(&report, |w| matches!(w, Warning::ThirtyTwoBit { .. })));
    // -o or -q: no note.
    let report = emits(
        "mmap2(NULL, 4096) = 0x5\nread(0) = 0\nsocketcall(1) = 0\n",
        "0:I386!mmap2 0:read 0:I386!socketcall 0:end",
    );
    assert!(warns(&report, |w| matches!(w, Warning::ThirtyTwoBit { calls } if calls.count == 2)));
    emits("strace: [ Process PID=7 runs in 32 bit mode. ]\nread(0) = 0\n", "0:I386!read 0:end");
}

#[test]
fn exec_by_a_thread_goes_on_under_the_leaders_id() {
    let start = "1 execve(\"/a\", [], NULL) = 0\n1 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 2\n1 pause( <unfinished ...>\n";
    let wanted =
        "1:execve 1:exec(/a) 1:clone 1:&2 1:pause 2:execve 1:end 2:->1 1:exec(/b) 1:brk 1:exit_group 1:end";
    let end =
        "1 <... execve resumed>) = 0\n1 brk(NULL) = 0x5\n1 exit_group(0) = ?\n1 +++ exited with 0 +++\n";
    emits(&format!("{start}2 execve(\"/b\", [], NULL <pid changed to 1 ...>\n1 +++ superseded by execve in pid 2 +++\n{end}"), wanted);
    emits(&format!("{start}2 execve(\"/b\", [], NULL <unfinished ...>\n1 +++ superseded by execve in pid 2 +++\n{end}"), wanted);
    // --quiet=thread-execve
    emits(&format!("{start}2 execve(\"/b\", [], NULL <unfinished ...>\n{end}"), wanted);
    // On stderr, where only one thread is left as soon as the leader is gone.
    let stderr = format!(
        "{}[pid 2] execve(\"/b\", [], NULL <pid changed to 1 ...>\n+++ superseded by execve in pid 2 +++\n{}",
        start.replace("1 execve", "execve").replace("1 clone", "clone").replace("1 pause", "[pid 1] pause"),
        end.replace("1 ", "").replace("= ?\n1", "= ?\n")
    );
    emits(
        &stderr,
        &wanted
            .replace("1:", "0:")
            .replace("2:->1 0:", "2:->1 1:")
            .replace("1:exec(/b) 0:brk 0:exit_group 0:end", "1:exec(/b) 1:brk 1:exit_group 1:end"),
    );
}

#[test]
fn a_handler_begins_where_rt_sigaction_says_so() {
    emits(
        &format!(
            "1 execve(\"/a\", [], NULL) = 0\n\
             1 --- SIGCHLD {{si_signo=SIGCHLD, si_code=CLD_EXITED}} ---\n\
             1 rt_sigaction(SIGUSR1, {{sa_handler=0x55, {RET_7F}\n\
             1 rt_sigaction(SIGUSR2, {{sa_handler=SIG_IGN, {RET_7F}\n\
             1 rt_sigaction(SIGHUP, {{0x55, [], SA_RESTORER|SA_RESETHAND, 0x7f}}, NULL, 8) = 0\n\
             1 rt_sigaction(SIGINT, {{sa_handler=0x55}}, NULL, 8) = -1 EINVAL (Invalid argument)\n\
             1 rt_sigaction(SIGUSR1, NULL, {{sa_handler=0x55}}, 8) = 0\n\
             1 --- SIGUSR1 {{si_signo=SIGUSR1}} ---\n\
             1 --- {{si_signo=SIGHUP, si_code=SI_USER}} (Hangup) ---\n\
             1 rt_sigreturn({{mask=[]}}) = 0\n\
             1 rt_sigreturn() = -1 EINTR (Interrupted system call)\n\
             1 --- SIGHUP (Hangup) @ 0 (0) ---\n\
             1 --- SIGUSR2 {{si_signo=SIGUSR2}} ---\n\
             1 --- SIGINT {{si_signo=SIGINT}} ---\n\
             1 --- stopped by SIGUSR1 ---\n"
        ),
        "1:execve 1:exec(/a) 1:rt_sigaction 1:rt_sigaction 1:rt_sigaction 1:rt_sigaction 1:rt_sigaction
         1:@SIGUSR1 1:@SIGHUP 1:rt_sigreturn 1:rt_sigreturn 1:end",
    );
}

#[test]
fn handlers_are_copied_by_fork_shared_by_threads_and_reset_by_exec() {
    let log = format!(
        "1 execve(\"/a\", [], NULL) = 0\n\
         1 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 2\n\
         2 rt_sigaction(SIGUSR1, {{sa_handler=0x55, {RET_7F}\n\
         1 fork() = 3\n\
         1 rt_sigaction(SIGUSR2, {{sa_handler=0x55, {RET_7F}\n\
         1 clone3({{flags=CLONE_CLEAR_SIGHAND}}, 88) = 4\n\
         1 --- SIGUSR1 {{}} ---\n\
         2 --- SIGUSR2 {{}} ---\n\
         3 --- SIGUSR1 {{}} ---\n\
         3 --- SIGUSR2 {{}} ---\n\
         4 --- SIGUSR1 {{}} ---\n\
         3 execve(\"/b\", [], NULL) = 0\n\
         3 --- SIGUSR1 {{}} ---\n"
    );
    emits(
        &log,
        "1:execve 1:exec(/a) 1:clone 1:&2 2:rt_sigaction 1:fork 1:+3 1:rt_sigaction 1:clone3 1:+4
         1:@SIGUSR1 2:@SIGUSR2 3:@SIGUSR1 3:execve 3:exec(/b) 1:end 2:end 3:end 4:end",
    );
}

#[test]
fn in_a_log_that_starts_in_the_middle_the_return_decides() {
    let usr1 = "1 --- SIGUSR1 {si_signo=SIGUSR1} ---\n";
    emits(
        &format!("1 pause() = ?\n{usr1}1 getpid() = 1\n1 rt_sigreturn({{mask=[]}}) = 0\n1 close(0) = 0\n{usr1}1 gettid() = 1\n"),
        "1:pause 1:@SIGUSR1 1:getpid 1:rt_sigreturn 1:close 1:@SIGUSR1 1:gettid 1:end",
    );
    emits(&format!("1 pause() = ?\n{usr1}1 getpid() = 1\n"), "1:pause 1:getpid 1:end");
    // The thread ends, execs or goes on for long: no handler ran. A later return shows the
    // contrary.
    let many = "1 getpid() = 1\n".repeat(5000);
    let (words, _) =
        read(format!("{usr1}{many}{usr1}1 rt_sigreturn() = 0\n{usr1}1 close(1) = 0\n").as_bytes());
    assert!(
        words.ends_with("1:getpid 1:rt_sigreturn 1:@SIGUSR1 1:close 1:end"),
        "{}",
        &words[words.len() - 80..]
    );
    emits(
        &format!("{usr1}1 execve(\"/a\", [], NULL) = 0\n1 rt_sigreturn() = 0\n"),
        "1:execve 1:exec(/a) 1:rt_sigreturn 1:end",
    );
    // Two nested: the inner one returns first.
    emits(
        &format!(
            "{usr1}1 getpid() = 1\n1 --- SIGUSR2 {{}} ---\n1 rt_sigreturn() = 0\n1 gettid() = 1\n"
        ),
        "1:getpid 1:@SIGUSR2 1:rt_sigreturn 1:gettid 1:end",
    );
}

#[test]
fn children_of_a_thread_that_waits_wait_too() {
    emits(
        "1 --- SIGCHLD {} ---\n1 fork() = 2\n2 getpid() = 2\n2 exit_group(0) = ?\n2 +++ exited with 0 +++\n1 rt_sigreturn() = 0\n",
        "1:@SIGCHLD 1:fork 1:+2 2:getpid 2:exit_group 2:end 1:rt_sigreturn 1:end",
    );
    // The child returns from the handler in which it was made, so that a handler ran.
    emits(
        "1 --- SIGCHLD {} ---\n1 fork() = 2\n2 rt_sigreturn() = 0\n1 getpid() = 1\n",
        "1:@SIGCHLD 1:fork 1:+2 2:rt_sigreturn 1:getpid 1:end 2:end",
    );
}

#[test]
fn strace_4_5_does_not_report_an_end() {
    emits(
        "Process 2 attached (waiting for parent)\n\
         Process 2 resumed (parent 1 ready)\n\
         1 clone(child_stack=0, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 2\n\
         Process 1 suspended\n\
         2 _exit(0) = ?\n\
         1 --- SIGCHLD (Child exited) @ 0 (0) ---\n\
         1 exit_group(0) = ?\n\
         Process 1 detached\n",
        "1:clone 1:+2 2:exit 2:end 1:exit_group 1:end",
    );
}

#[test]
fn execveat_and_odd_paths() {
    emits(
        "execveat(3</usr/bin/true>, \"\", [\"true\"], NULL, AT_EMPTY_PATH) = 0\n\
         execve(\"/caf\\303\\251\", [\"a, b\"], NULL) = 0\n\
         execve(\"/no\", [], NULL) = -1 ENOENT (No such file or directory)\n",
        "0:execveat 0:exec(/usr/bin/true) 0:execve 0:exec(/café) 0:execve 0:end",
    );
    let report = emits(
        "execveat(3, \"\", [\"true\"], NULL, AT_EMPTY_PATH) = 0\nexecve(0x7ffd00001000, 0x7ffd, 0x7ffe) = 0\n",
        "0:execveat 0:exec() 0:execve 0:exec() 0:end",
    );
    assert!(warns(&report, |w| matches!(w, Warning::NamelessExecs { execs } if execs.count == 2)));
}

#[test]
fn calls_that_strace_tampered_with_have_no_effect() {
    emits(
        "fork() = 5 (INJECTED)\nexecve(\"/a\", [], NULL) = 0 (INJECTED)\ngetpid() = 1 (DELAYED)\n",
        "0:fork 0:execve 0:getpid 0:end",
    );
    emits(
        "7 exit_group(0) = -1 EPERM (Operation not permitted) (INJECTED)\n7 getpid() = 7\n",
        "7:exit_group 7:getpid 7:end",
    );
}

#[test]
fn within_a_pid_namespace_the_returned_number_is_another() {
    emits(
        "9 execve(\"/a\", [], NULL) = 0\n9 fork() = 2\n1234 getpid() = 2\n9 vfork( <unfinished ...>\n1235 getpid() = 3\n9 <... vfork resumed>) = 3\n",
        "9:execve 9:exec(/a) 9:fork 9:+2 2:->1234 1234:getpid 9:vfork 9:+1235 1235:getpid 9:end 1234:end 1235:end",
    );
}

#[test]
fn what_a_log_lacks_gives_a_warning() {
    let report = emits(
        "1 openat(AT_FDCWD, \"/a\", O_RDONLY) = 3\n1 +++ exited with 0 +++\n",
        "1:openat 1:end",
    );
    assert!(warns(&report, |w| matches!(w, Warning::Filtered { threads } if threads.count == 1)));
    assert!(warns(&report, |w| matches!(w, Warning::NoExec { .. })));
    let many = format!("1 execve(\"/a\", [], NULL) = 0\n{}", "1 getpid() = 1\n".repeat(300));
    assert!(warns(&read(many.as_bytes()).1, |w| matches!(
        w,
        Warning::NoFailures { calls: 301, .. }
    )));
    let files = format!(
        "1 execve(\"/a\", [], NULL) = 0\n1 access(\"/b\", F_OK) = -1 ENOENT (No such file or directory)\n{}",
        "1 close(3) = 0\n".repeat(20)
    );
    assert!(warns(&read(files.as_bytes()).1, |w| matches!(
        w,
        Warning::NoMemory { file: 0, calls: 22 }
    )));
    let all = format!("{files}1 brk(NULL) = 0x5\n");
    assert_eq!(read(all.as_bytes()).1.warnings, []);
    assert!(warns(&read(b"hello\n").1, |w| matches!(w, Warning::NoCalls { file: 0 })));
    assert!(warns(&read(b"").1, |w| matches!(w, Warning::NoCalls { .. })));
    let summary = b"% time     seconds  usecs/call     calls    errors syscall\n------ ----------- ----------- --------- --------- ----------------\n100.00    0.000000           0         1           read\n";
    assert!(warns(&read(summary).1, |w| matches!(w, Warning::SummaryOnly { .. })));
    // The siblings of a thread that ends the group, or execs, end without a call of their own.
    let report = emits(
        "1 execve(\"/a\", [], NULL) = 0\n1 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 2\n\
         2 pause( <unfinished ...>\n1 exit_group(0 <unfinished ...>\n2 <... pause resumed>) = ?\n1 <... exit_group resumed>) = ?\n\
         2 +++ exited with 0 +++\n1 +++ exited with 0 +++\n",
        "1:execve 1:exec(/a) 1:clone 1:&2 2:pause 1:exit_group 1:end 2:end",
    );
    assert_eq!(report.warnings, []);
}

#[test]
fn a_line_of_any_length_is_read_in_little_memory() {
    let mut log = b"write(1, \"".to_vec();
    log.resize(3_000_000, b'a');
    log.extend_from_slice(b"\", 9) = 9\n");
    log.resize(6_000_000, 0xff);
    let (words, report) = read(&log);
    assert_eq!(words, "0:write 0:end");
    assert_eq!(report.set_aside.first().map(|(k, t)| (*k, t.count)), Some((SetAside::TooLong, 1)));
}

fn family(files: &[(u32, &str)]) -> (String, Report) {
    let members: Vec<Member> =
        (0..).zip(files).map(|(file, &(pid, _))| Member { file, pid }).collect();
    let mut words = Vec::new();
    let mut reader = Reader::new();
    reader
        .read_family(&members, &mut |i| Ok(files[i].1.as_bytes()), &mut |e| words.push(word(&e)))
        .unwrap();
    (words.join(" "), reader.report().clone())
}

#[test]
fn a_family_of_files_is_read_creators_first() {
    let files = [
        (3, "getpid() = 3\nexit_group(0) = ?\n+++ exited with 0 +++\n"),
        (1, "execve(\"/a\", [], NULL) = 0\nfork() = 2\nexit_group(0) = ?\n+++ exited with 0 +++\n"),
        (2, "vfork() = 3\nexit_group(0) = ?\n+++ exited with 0 +++\n"),
    ];
    let (words, report) = family(&files);
    assert_eq!(
        words,
        "1:execve 1:exec(/a) 1:fork 1:+2 1:exit_group 1:end 2:vfork 2:+3 2:exit_group 2:end 3:getpid 3:exit_group 3:end"
    );
    assert_eq!((report.warnings, report.set_aside), (vec![], vec![]));
}

#[test]
fn in_a_family_threads_that_were_running_before_ran_together() {
    let (events, _) = family(&[
        (1, "read(0, \"\", 1) = 0\nexit_group(0) = ?\n+++ exited with 0 +++\n"),
        (2, "write(1, \"\", 1) = 1\n+++ exited with 0 +++\n"),
    ]);
    assert_eq!(events, "1:read 1:exit_group 2:write 1:end 2:end");
    // An id that comes again is another thread.
    let (events, _) = family(&[(1, "exit(0) = ?\n+++ exited with 0 +++\ngetpid() = 1\n")]);
    assert_eq!(events, "1:exit 1:end 1:getpid 1:end");
}

#[test]
fn in_a_family_the_leaders_file_goes_on_with_the_thread_that_execs() {
    let leader = "execve(\"/a\", [], NULL) = 0\n\
         clone(child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 2\n\
         pause() = ?\n\
         +++ superseded by execve in pid 3 +++\n\
         <... execve resumed>) = 0\n\
         fork() = 4\n\
         exit_group(0) = ?\n";
    let second =
        "clone3({flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD}, 88) = 3\n+++ exited with 0 +++\n";
    let third = "getuid() = 0\nexecve(\"/b\", [], NULL <pid changed to 1 ...>\n";
    let (words, report) =
        family(&[(1, leader), (2, second), (3, third), (4, "getpid() = 4\nexit_group(0) = ?\n")]);
    assert_eq!(
        words,
        "1:execve 1:exec(/a) 1:clone 1:&2 1:pause 1:end 2:clone3 2:&3 2:end 3:getuid 3:execve 3:->1 1:exec(/b) 1:fork 1:+4 \
         1:exit_group 1:end 4:getpid 4:exit_group 4:end"
    );
    assert_eq!((report.warnings, report.set_aside), (vec![], vec![]));
}

#[test]
fn in_a_family_shared_actions_of_unknown_order_are_decided_by_the_return() {
    let leader = "execve(\"/a\", [], NULL) = 0\n\
         clone(child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 2\n\
         --- SIGUSR1 {} ---\ngetpid() = 1\nrt_sigreturn() = 0\n--- SIGUSR2 {} ---\ngettid() = 1\nexit_group(0) = ?\n";
    let thread = format!("rt_sigaction(SIGUSR1, {{sa_handler=0x55, {RET_7F}\nrt_sigaction(SIGUSR2, {{sa_handler=0x55, {RET_7F}\n");
    let (words, _) = family(&[(1, leader), (2, &thread)]);
    assert!(words.contains("1:&2 1:@SIGUSR1 1:getpid 1:rt_sigreturn 1:gettid"), "{words}");
}

#[test]
fn members_that_name_their_threads_are_logs_of_their_own() {
    let (words, _) = family(&[(1, "1 getpid() = 1\n"), (2, "getpid() = 2\n")]);
    assert_eq!(words, "2:getpid 2:end 1:getpid 1:end");
}
