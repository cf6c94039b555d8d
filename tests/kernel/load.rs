//! Much at once: no violation, no child and no call is lost.

use libbpf_rs::{libbpf_sys, MapCore as _, MapFlags, MapHandle, MapType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use sysfsm_testing::lab::{preempts_programs, Lab};

#[test]
fn sixty_four_threads_at_once_lose_no_violation() {
    const CALLS: usize = 300;
    let lab = Lab::new();
    let threads = lab.fixture("threads");
    let policy = lab.learn(&threads, &[(&["8"], "work")]);
    let enforcement = lab.enforce(&[&policy], &["--log-only"]);
    lab.run(&threads, &["64"], &format!("storm {CALLS}")).well("the storm");
    let report = enforcement.stop();
    assert_eq!(
        report.stop["violations"].as_u64().unwrap(),
        report.violations.len() as u64,
        "each has its event"
    );
    let mut by_thread = BTreeMap::new();
    for violation in &report.violations {
        // Futexes that learning did not see may be among them.
        if matches!(violation["symbol"].as_str(), Some("syscall_4000" | "syscall_4001")) {
            *by_thread.entry(violation["tid"].as_u64()).or_insert(0) += 1;
        }
    }
    assert_eq!(by_thread.len(), 64);
    assert!(by_thread.values().all(|&calls| calls == CALLS), "{by_thread:?}");
}

/// Two million violations of two kinds, as fast as they come: the first are reported one by one, all of
/// them by their number.
#[test]
fn a_storm_is_told_by_its_number() {
    const CALLS: u64 = 16_000;
    const FULL: u64 = 500;
    let lab = Lab::new();
    let threads = lab.fixture("threads");
    let policy = lab.learn(&threads, &[(&["8"], "work")]);
    let full = FULL.to_string();
    let enforcement = lab.enforce(&[&policy], &["--log-only", "--full-events", &full]);
    let begun = std::time::Instant::now();
    lab.run(&threads, &["64"], &format!("storm {CALLS}")).well("the storm");
    let seconds = begun.elapsed().as_secs() + 2;
    let told = enforcement.stop_raw();
    let of = |kind: &str, key: &str| -> u64 {
        let lines =
            told.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let count = |e: serde_json::Value| match kind {
            "stop" => e["totals"][key].as_u64().unwrap(),
            _ => e[key].as_u64().unwrap_or(1),
        };
        lines.filter(|e| e["event"] == kind).map(count).sum()
    };
    let (one_by_one, by_number, all) =
        (of("violation", "count"), of("repeated", "count"), of("stop", "violations"));
    eprintln!(
        "{all} violations in {seconds} s: {one_by_one} one by one, {by_number} by their number"
    );
    assert!(all >= 64 * CALLS, "{all}");
    assert_eq!(one_by_one + by_number, all, "none is lost");
    assert_eq!((of("stop", "events_lost"), of("stop", "unclassified")), (0, 0));
    // Of each kind so many a second; of the few other kinds as many as there were.
    assert!(
        (FULL..2 * (FULL + 64) * (seconds + 1)).contains(&one_by_one),
        "{one_by_one} in {seconds} s"
    );
}

#[test]
fn a_thousand_quick_children_are_all_watched() {
    let lab = Lab::new();
    let forks = lab.fixture("forks");
    let policy = lab.learn(&forks, &[(&["burst", "60"], ""), (&["violating", "0"], "")]);

    let enforcement = lab.enforce(&[&policy], &["--log-only"]);
    lab.run(&forks, &["violating", "1000"], "").well("violating children");
    let report = enforcement.stop();
    let pids: BTreeSet<_> = report.violations.iter().map(|v| v["pid"].as_u64()).collect();
    let symbols: BTreeSet<_> = report.violations.iter().map(|v| v["symbol"].as_str()).collect();
    assert_eq!(
        (report.violations.len(), pids.len()),
        (1000, 1000),
        "each child's call, and only that"
    );
    assert_eq!(symbols, BTreeSet::from([Some("syscall_4000")]));

    let judged = |count: &str| {
        let enforcement = lab.enforce(&[&policy], &[]);
        lab.run(&forks, &["burst", count], "").well("lawful children");
        let report = enforcement.stop();
        report.lawful("lawful children");
        report.judged()
    };
    // clone and wait4 of the parent, set_robust_list and exit_group of the child; a fork that is
    // interrupted is begun again by the kernel.
    let more = judged("1000") - judged("0");
    assert!((4000..4050).contains(&more), "judged {more} calls of a thousand children");
}

/// While a task is in a map operation of bpf(2), the kernel leaves the programs of classic
/// tracepoints out on its CPU (`bpf_disable_instrumentation`, include/linux/bpf.h), also for
/// whoever preempts it there. Here nearly always: the second program judges, and what even that is
/// not shown is no more than the totals tell.
#[test]
fn what_others_do_with_maps_hides_no_call() {
    // So large a value that an operation takes a while.
    const SIZE: u32 = 1 << 20;
    let lab = Lab::new();
    let forks = lab.fixture("forks");
    let policy = lab.learn(&forks, &[(&["burst", "60"], ""), (&["violating", "0"], "")]);
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        ..Default::default()
    };
    let map = MapHandle::create(MapType::Array, Some("others"), 4, SIZE, 1, &options).unwrap();
    let enforcement = lab.enforce(&[&policy], &["--log-only"]);
    let over = AtomicBool::new(false);
    scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (key, value) = (0_u32.to_ne_bytes(), vec![1; SIZE as usize]);
                while !over.load(Ordering::Relaxed) {
                    map.update(&key, &value, MapFlags::ANY).unwrap();
                }
            });
        }
        lab.run(&forks, &["violating", "1000"], "").well("violating children");
        over.store(true, Ordering::Relaxed);
    });
    let report = enforcement.stop();
    let pids: BTreeSet<_> = report.violations.iter().map(|v| v["pid"].as_u64()).collect();
    let missed = 1000 - pids.len() as u64;
    let most = if preempts_programs() {
        report.stop["recursion_misses"].as_u64().unwrap().min(100)
    } else {
        0
    };
    eprintln!("{missed} of a thousand children missed: {}", report.stop);
    assert!(missed <= most, "{missed} of a thousand children missed: {}", report.stop);
}
