//! `walkers PROCESSES THREADS CALLS`: PROCESSES processes of THREADS threads, each of which makes
//! CALLS calls, drawn by a generator that anybody can repeat, as fast as it can. The processes are
//! runs of their own: each execs this program. Each thread makes a call of its own kind, 4999,
//! before its walk and after it. With `60s` for CALLS a thread walks for so long. At its end it
//! says `WALKED SEED CALLS`.
//!
//! It proves that a recording loses no transition, whatever happens at once: what there must be can
//! be computed.

#![allow(unsafe_code, clippy::print_stderr, clippy::print_stdout)]

use std::process::{exit, Command};
use std::time::{Duration, Instant};
use sysfsm_fixtures::walk::{walk, MARK};

fn call(number: u64) {
    // SAFETY: the kernel has no such call.
    unsafe { libc::syscall(number.cast_signed()) };
}

/// How long a walk is.
#[derive(Clone, Copy)]
enum Length {
    Calls(u64),
    Time(Duration),
}

impl Length {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('s') {
            Some(seconds) => Some(Length::Time(Duration::from_secs(seconds.parse().ok()?))),
            None => Some(Length::Calls(text.parse().ok()?)),
        }
    }
}

fn go(seed: u64, length: Length) {
    // Of a walk for a time: to look at the clock is no call, but it takes as long as some.
    const AT_ONCE: u64 = 4096;
    let begun = Instant::now();
    let mut numbers = walk(seed);
    let mut walked = 0;
    call(MARK);
    loop {
        let more = match length {
            Length::Calls(calls) => calls - walked,
            Length::Time(time) if begun.elapsed() < time => AT_ONCE,
            Length::Time(_) => 0,
        };
        if more == 0 {
            break;
        }
        let more_numbers = usize::try_from(more).unwrap_or(usize::MAX);
        numbers.by_ref().take(more_numbers).for_each(call);
        walked += more;
    }
    call(MARK);
    println!("WALKED {seed} {walked}");
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse::<u64>().ok();
    let usage = || {
        eprintln!("usage: walkers PROCESSES THREADS CALLS|SECONDSs");
        exit(2);
    };
    match &words[..] {
        [processes, threads, length] => {
            let (Some(processes), Some(threads_count)) = (number(processes), number(threads))
            else {
                usage()
            };
            let me = std::env::current_exe().unwrap_or_default();
            let start = |process: u64| {
                let first_seed = (process * threads_count).to_string();
                Command::new(&me).args([threads, length, &first_seed, "0"]).spawn()
            };
            let children: Vec<_> = (0..processes).map(start).collect();
            for child in children {
                if !child.and_then(|mut c| c.wait()).is_ok_and(|status| status.success()) {
                    exit(1);
                }
            }
        }
        [threads, length, first_seed, _] => {
            let (Some(threads), Some(length), Some(first_seed)) =
                (number(threads), Length::parse(length), number(first_seed))
            else {
                usage()
            };
            let walkers: Vec<_> = (0..threads)
                .map(|t| std::thread::spawn(move || go(first_seed + t, length)))
                .collect();
            for walker in walkers {
                if walker.join().is_err() {
                    exit(1);
                }
            }
        }
        _ => usage(),
    }
}
