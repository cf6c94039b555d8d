//! `walkers PROCESSES THREADS CALLS`: so many processes of so many threads, each of which makes so many calls, drawn by a
//! generator that anybody can repeat, as fast as it can. The processes are runs of their own: each execs this program.
//! Each thread makes a call of its own kind, 4999, before its walk and after it.
//!
//! It proves that a recording loses no transition, whatever happens at once: what there must be can be computed.

#![allow(unsafe_code, clippy::print_stderr)]

use std::process::{exit, Command};

/// So many numbers that no kernel knows, from this one on.
const NUMBERS: u64 = 48;
const FIRST: i64 = 4000;
const MARK: i64 = 4999;

/// splitmix64, of which the test has a copy.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn call(number: i64) {
    // SAFETY: the kernel has no such call.
    unsafe { libc::syscall(number) };
}

fn walk(seed: u64, calls: u64) {
    let mut state = seed;
    call(MARK);
    for _ in 0..calls {
        call(FIRST + i64::try_from(next(&mut state) % NUMBERS).unwrap_or(0));
    }
    call(MARK);
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    match numbers[..] {
        [processes, threads, calls] => {
            let me = std::env::current_exe().unwrap_or_default();
            let start = |process: u64| {
                let first_seed = (process * threads).to_string();
                Command::new(&me).args([&threads.to_string(), &calls.to_string(), &first_seed, "0"]).spawn()
            };
            let children: Vec<_> = (0..processes).map(start).collect();
            for child in children {
                if !child.and_then(|mut c| c.wait()).is_ok_and(|status| status.success()) {
                    exit(1);
                }
            }
        }
        [threads, calls, first_seed, _] => {
            let walkers: Vec<_> =
                (0..threads).map(|t| std::thread::spawn(move || walk(first_seed + t, calls))).collect();
            for walker in walkers {
                if walker.join().is_err() {
                    exit(1);
                }
            }
        }
        _ => {
            eprintln!("usage: walkers PROCESSES THREADS CALLS");
            exit(2);
        }
    }
}
