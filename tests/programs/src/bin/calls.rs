//! `calls [filter] BATCHES`: makes system calls that do next to nothing, four kinds in turn, so
//! that none repeats the one before, and says how many nanoseconds one of them took: the median of
//! so many batches. With `filter` under a seccomp filter that checks an argument of each, and finds
//! nothing.

#![allow(unsafe_code, clippy::print_stderr, clippy::print_stdout)]

use seccompiler::{
    apply_filter, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};
use std::process::exit;
use std::time::Instant;

const KINDS: [i64; 4] = [libc::SYS_getppid, libc::SYS_getuid, libc::SYS_getgid, libc::SYS_geteuid];
/// Calls of one batch.
const BATCH: u32 = 40_000;
/// What the filter looks for in the first argument.
const SOUGHT: u64 = 0x5eed;

fn batch() -> f64 {
    let begun = Instant::now();
    for _ in 0..BATCH / 4 {
        for kind in KINDS {
            // SAFETY: these calls take no arguments; the filter is shown one.
            unsafe { libc::syscall(kind, 0_u64) };
        }
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
}

/// Allows everything but the four with the argument that nobody gives.
fn filter() -> Result<(), Box<dyn std::error::Error>> {
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, SOUGHT)?;
    let mut rules = std::collections::BTreeMap::new();
    for kind in KINDS {
        rules.insert(kind, vec![SeccompRule::new(vec![condition.clone()])?]);
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::KillProcess,
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    Ok(apply_filter(&program)?)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(batches) = words.iter().find_map(|w| w.parse::<usize>().ok()).filter(|&n| n > 0)
    else {
        eprintln!("usage: calls [filter] BATCHES");
        exit(2);
    };
    if words.iter().any(|w| w == "filter")
        && let Err(e) = filter()
    {
        eprintln!("no filter: {e}");
        exit(1);
    }
    let mut costs: Vec<f64> = (0..batches).map(|_| batch()).collect();
    costs.sort_by(f64::total_cmp);
    println!("{:.3}", costs.get(batches / 2).copied().unwrap_or(f64::NAN));
}
