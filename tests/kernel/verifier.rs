//! What the kernel's verifier makes of our programs: it gives up at a million instructions, counted
//! along every path.

use libbpf_rs::query::ProgInfoIter;
use std::collections::BTreeMap;
use sysfsm::kernel::{Enforcer, Only, Options, RecordOptions, Recorder, Target};
use sysfsm::machine::Depth;
use sysfsm::policy;
use sysfsm_testing::lab::Lab;

/// A tenth of the kernel's limit (`BPF_COMPLEXITY_LIMIT_INSNS`).
const BOUND: u32 = 100_000;

#[test]
fn every_program_is_far_from_the_verifiers_limit() {
    let lab = Lab::new();
    let victim = lab.fixture("victim");
    // By a name, and of a script too, so that no code is left out as dead.
    let by_path = lab.learn(&victim, &[(&[], "work")]);
    let by_name = lab.with(&by_path, "binary", "a-program-that-is-known-by-its-name".into());
    let script = lab.path("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let of_script = lab.with(&by_path, "binary", script.to_str().unwrap().into());
    let loaded = policy::load(&[by_path, by_name, of_script]).unwrap();
    let policies: Vec<_> = loaded.into_iter().map(|l| l.policy).collect();
    far_from_the_limit(|| Enforcer::start(&policies, Options::default()).unwrap());
    let room =
        RecordOptions { depth: Depth::all().last().unwrap(), room: 1000, only: Only::default() };
    far_from_the_limit(|| Recorder::start(&Target::Children, &room).unwrap());
}

/// Counts what is loaded.
#[track_caller]
fn far_from_the_limit<T>(load: impl FnOnce() -> T) {
    let others: Vec<u32> = ProgInfoIter::default().map(|p| p.id).collect();
    let loaded = load();
    // The kernel keeps 15 bytes of a name. Other tests of this process may load meanwhile: theirs
    // are the same programs.
    let mut counts = BTreeMap::new();
    for program in ProgInfoIter::default().filter(|p| !others.contains(&p.id)) {
        let most = counts.entry(program.name.to_string_lossy().into_owned()).or_insert(0);
        *most = program.verified_insns.max(*most);
    }
    drop(loaded);
    for (name, count) in &counts {
        eprintln!("| verified {name} {count}");
    }
    // Which one judges calls is the kernel's matter (`Turns`); the others are not loaded.
    let judges = ["sys_enter", "sys_enter_class", "sys_enter_prima"];
    let judges =
        judges.into_iter().find(|name| counts.contains_key(*name)).expect("one judges calls");
    for name in [judges, "exec_primary", "newtask_primary", "signal_primary", "handle_adopt"] {
        let count = counts.get(name).copied();
        assert!(count.is_some_and(|c| (1..BOUND).contains(&c)), "{name}: {count:?} of {BOUND}");
    }
    assert!(counts.values().all(|&count| count < BOUND), "{counts:?}");
}
