//! At `prevent` the functions of all calls that the kernel has are guarded, by the kernel's own list.

use crate::protection::anything;
use std::collections::BTreeSet;
use std::fs;
use sysfsm::syscall;
use sysfsm_testing::lab::Lab;

/// Calls without arguments: the kernel takes no program at their functions.
const WITHOUT_ARGUMENTS: &str = "fork vfork vhangup getpid getppid getuid geteuid getgid getegid \
    getpgrp gettid inotify_init munlockall pause sched_yield setsid sync restart_syscall \
    rt_sigreturn rseq_slice_yield uprobe uretprobe";

/// The calls of the table that this kernel has, and that take arguments.
pub fn of_this_kernel() -> BTreeSet<String> {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap();
    let names: BTreeSet<&str> =
        symbols.lines().filter_map(|l| l.split_whitespace().nth(2)).collect();
    let functions = names.iter().filter_map(|name| name.strip_prefix("__x64_sys_"));
    let known = functions.filter_map(syscall::of_function);
    let guarded = known.filter(|call| !WITHOUT_ARGUMENTS.split_whitespace().any(|w| w == *call));
    guarded.map(ToString::to_string).collect()
}

#[test]
fn every_call_that_the_kernel_has_is_guarded_at_prevent() {
    let lab = Lab::new();
    let program = lab.fixture("saboteur");
    let policy = anything(&lab, &program);
    let report = lab.enforce(&[&policy], &["--require", "kill"]).stop();
    let start = &report.start;
    let count = start["functions"].as_u64().unwrap();
    if start["level"] != "prevent" {
        assert_eq!(count, 0, "{start}");
        return;
    }
    let unsupported: BTreeSet<&str> =
        start["unsupported"].as_array().unwrap().iter().filter_map(|u| u.as_str()).collect();
    let kernel = of_this_kernel();
    let unguarded: Vec<_> = kernel.iter().filter(|c| unsupported.contains(c.as_str())).collect();
    assert!(unguarded.is_empty(), "not guarded: {unguarded:?}");
    // exit and exit_group are always allowed.
    assert!(kernel.len() > 300 && count >= kernel.len() as u64 - 2, "{count} of {}", kernel.len());
}
