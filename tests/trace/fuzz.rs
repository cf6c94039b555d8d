//! No content of a log or of a policy file makes the readers panic, loop or work by half. Each
//! target mutates real input for a minute. The seed is printed, and `SYSFSM_SEED` repeats a
//! run.

use std::time::{Duration, Instant};
use sysfsm::machine::{Depth, Learner};
use sysfsm::policy::parse;
use sysfsm::trace::{Member, Reader};
use sysfsm_testing::random::{seed, Random};

const HOW_LONG: Duration = Duration::from_secs(60);

/// Makes one to eight changes: a byte changed, a part dropped, doubled or moved, a word inserted, or
/// the end cut off.
fn mutate(random: &mut Random, text: &[u8], words: &[&str]) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(text.len());
        let end = (at + random.below(40)).min(text.len());
        match random.below(7) {
            0 if !text.is_empty() => text[at] = u8::try_from(random.below(256)).unwrap(),
            1 => drop(text.drain(at..end)),
            2 => {
                let part = text[at..end].to_vec();
                text.splice(at..at, part);
            }
            3 => {
                let part: Vec<u8> = text.drain(at..end).collect();
                let to = random.below(text.len());
                text.splice(to..to, part);
            }
            4 | 5 => {
                let word = random.pick(words).bytes();
                text.splice(at..at, word);
            }
            _ => text.truncate(at.max(1)),
        }
    }
    text
}

/// Parts of lines of every shape.
const LOG_WORDS: &[&str] = &[
    "\n",
    " <unfinished ...>",
    "<... read resumed>",
    ") = 0\n",
    "[pid 7] ",
    "7 ",
    "--- SIGUSR1 {si_signo=SIGUSR1} ---\n",
    "rt_sigreturn({mask=[]}) = 0\n",
    "+++ exited with 0 +++\n",
    "+++ superseded by execve in pid 8 +++\n",
    "<pid changed to 7 ...>",
    "clone(child_stack=NULL, flags=CLONE_THREAD|CLONE_SIGHAND) = 9\n",
    "vfork(",
    "execve(\"/bin/x\", [\"x\"], 0x7ffe) = 0\n",
    "strace: Process 9 attached\n",
    "[ Process PID=7 runs in 32 bit mode. ]\n",
    "\x1b[31m",
    "= ? ERESTARTSYS (To be restarted if SA_RESTART is set)\n",
    "\"",
    "\\",
    "0x",
    "12:00:00.000001 ",
    "{",
    "}",
    "(",
    ")",
    "rt_sigaction(SIGUSR1, {sa_handler=0x1000, sa_mask=[], sa_flags=0}, NULL, 8) = 0\n",
    "exit_group(0) = ?\n",
    "\0",
    "\u{fffd}",
];

const LOG: &str = r#"7 execve("/usr/bin/sh", ["sh"], 0x7ffd /* 8 vars */) = 0
7 brk(NULL) = 0x5581
7 rt_sigaction(SIGUSR1, {sa_handler=0x401136, sa_mask=[], sa_flags=SA_RESTORER, sa_restorer=0x7f}, NULL, 8) = 0
7 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD <unfinished ...>
8 set_robust_list(0x7f, 24) = 0
7 <... clone resumed>, child_tidptr=0x7f) = 8
8 read(0, "x", 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)
8 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=7, si_uid=0} ---
8 write(1, "hi\n", 3) = 3
8 rt_sigreturn({mask=[]}) = 0
8 read(0, "", 1) = 0
8 execve("/usr/bin/cat", ["cat"], 0x7ffd /* 8 vars */ <pid changed to 7 ...>
7 +++ superseded by execve in pid 8 +++
7 <... execve resumed>) = 0
7 syscall_0x1ce(0x1, 0x2) = -1 ENOSYS (Function not implemented)
7 exit_group(0) = ?
7 +++ exited with 0 +++
"#;

#[test]
fn no_log_makes_the_reader_panic() {
    let mut random = Random(seed());
    let end = Instant::now() + HOW_LONG;
    let mut rounds = 0_u64;
    while Instant::now() < end {
        let text = mutate(&mut random, LOG.as_bytes(), LOG_WORDS);
        let other = mutate(&mut random, LOG.as_bytes(), LOG_WORDS);
        let depth = Depth::try_from(1 + random.below(8) as u64).unwrap();
        let mut learner = Learner::new(depth);
        let mut reader = Reader::new();
        let mut sink = |event| learner.event(&event);
        reader.read(0, text.as_slice(), &mut sink).expect("memory can be read");
        let members = [Member { file: 1, pid: 7 }, Member { file: 2, pid: 8 }];
        let files = [text.as_slice(), other.as_slice()];
        reader
            .read_family(&members, &mut |index| Ok(files[index]), &mut sink)
            .expect("memory can be read");
        let lines = reader.report().lines;
        assert!(lines > 0 || text.is_empty());
        for learned in learner.finish() {
            assert!(learned.machine.transitions() < 10_000);
        }
        rounds += 1;
    }
    eprintln!("{rounds} logs");
    assert!(rounds > 1000);
}

const POLICY_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "1e9",
    "18446744073709551616",
    "\"execve\"",
    "\"@SIGUSR1\"",
    "\"transitions\"",
    "\"data\"",
    "\"depth\": 8",
    "\"sysfsm\": 1",
    " ",
    "\\u0000",
    "\\",
    "syscall_",
    "execve brk",
];

const POLICY: &str = r#"{"sysfsm": 1, "binary": "/usr/bin/cat", "arch": "x86_64", "depth": 3, "action": "kill", "runs": 2,
"transitions": {"@SIGUSR1": {"write": {"calls": 3, "runs": 1}}, "execve": ["brk", "syscall_4000"],
"execve brk": {"access": {"calls": 2, "runs": 2}, "mmap": {"calls": 4, "runs": 2}}}}"#;

#[test]
fn no_policy_makes_its_reader_panic_and_what_it_takes_it_writes_back() {
    let mut random = Random(seed());
    let end = Instant::now() + HOW_LONG;
    let (mut good, mut bad) = (0_u64, 0_u64);
    while Instant::now() < end {
        let text = mutate(&mut random, POLICY.as_bytes(), POLICY_WORDS);
        match parse(&text) {
            Ok(policy) => {
                good += 1;
                let written = policy.to_json();
                assert_eq!(
                    parse(written.as_bytes()).expect("what was written is read").to_json(),
                    written
                );
            }
            Err(problems) => {
                bad += 1;
                assert!(!problems.is_empty());
                assert!(
                    problems.iter().all(|p| !p.what.is_empty() && !p.hint.is_empty()),
                    "{problems:?}"
                );
            }
        }
    }
    eprintln!("{good} policies taken, {bad} refused");
    assert!(good > 100 && bad > 1000);
}
