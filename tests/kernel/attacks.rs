//! Every kind of attack ends at its first call, every time; under --log-only it runs through and is
//! reported the same.

use std::collections::BTreeMap;
use std::net::TcpListener;
use sysfsm_testing::lab::{Ended, Lab};
use sysfsm_testing::times;

/// An attack of tests/programs/src/bin/victim, and where it is seen to begin.
const ATTACKS: [(&str, &str); 11] = [
    ("shell", "transition: readv → execve"),
    ("connect-back PORT", "transition: readv → socket"),
    ("write-file FILE", "transition: readv → openat"),
    ("mprotect-code", "transition: readv → mprotect"),
    ("mmap-code", "transition: readv → mmap"),
    ("ptrace", "transition: readv → ptrace"),
    ("kill-other", "transition: readv → kill"),
    ("unknown-call", "transition: readv → syscall_4000"),
    ("stray-sigreturn", "sigreturn: readv → rt_sigreturn"),
    ("int80", "abi: readv → @i386"),
    ("x32", "abi: readv → @x32"),
];

/// Attacks victims, one after another; with the first violation of each.
fn attack(log_only: bool, each: impl Fn(&str, &Ended)) -> BTreeMap<String, usize> {
    let times = times();
    let lab = Lab::new();
    let victim = lab.fixture("victim");
    let policy = lab.learn(&victim, &[(&[], "work"), (&[], "work")]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let enforcement =
        lab.enforce(&[&policy], if log_only { &["--log-only"] } else { &["--require", "kill"] });
    lab.run(&victim, &[], "work").well("lawful work");
    let mut pids = Vec::new();
    for (name, expected) in ATTACKS {
        for _ in 0..times {
            let file = lab.fresh("planted");
            let line = name.replace("PORT", &port).replace("FILE", file.to_str().unwrap());
            let ended = lab.run(&victim, &[], &format!("attack {line}"));
            each(name, &ended);
            pids.push((ended.pid, name, expected));
            if name.starts_with("write-file") {
                let written = std::fs::read_to_string(&file).unwrap_or_default();
                assert_eq!(written, if log_only { "pwned\n" } else { "" }, "{name}");
            }
        }
    }
    listener.set_nonblocking(true).unwrap();
    let connected = std::iter::from_fn(|| listener.accept().ok()).count();
    assert_eq!(connected, if log_only { times } else { 0 }, "connections to the attacker");

    let report = enforcement.stop();
    let mut seen = BTreeMap::new();
    for (pid, name, expected) in pids {
        let found = report.first_of(pid);
        assert_eq!(found.as_deref(), Some(expected), "{name}");
        *seen.entry(expected.to_string()).or_insert(0) += 1;
    }
    if !log_only {
        let all = (ATTACKS.len() * times) as u64;
        assert_eq!(report.violations.len() as u64, all, "one violation a victim");
        assert_eq!(report.stop["kills"], all);
        assert!(report.violations.iter().all(|v| v["action"] == "kill"));
    }
    seen
}

#[test]
fn every_attack_is_killed_at_its_first_call_every_time() {
    let seen = attack(false, |name, ended| {
        assert!(ended.killed(), "{name}: {}", ended.status);
        assert!(!ended.stdout.contains("ran through"), "{name}");
    });
    assert_eq!(seen.len(), ATTACKS.len());
    assert!(seen.values().all(|&seen| seen == times()));
}

#[test]
fn under_log_only_every_attack_runs_through_and_is_reported_the_same() {
    let seen = attack(true, |name, ended| {
        assert_eq!(ended.status.code(), Some(42), "{name}: {} {}", ended.status, ended.stderr);
        assert_eq!(ended.stdout, "ran through\n", "{name}");
    });
    assert_eq!(seen.len(), ATTACKS.len());
    assert!(seen.values().all(|&seen| seen == times()));
}
