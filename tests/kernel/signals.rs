//! Programs that live by signals are not hurt: timers whose handlers return or are left by
//! `siglongjmp`, and the runtimes of Go and Java.
//!
//! Their policy allows every call after every other one, so that only the rules of handlers and
//! their returns can fail (semantics, rule 3): how well a program's order is learned is the matter
//! of other tests. `make test-signals` takes the time and the packages for all of it.

use serde_json::{json, Value};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use sysfsm::syscall;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{described, Ended, Lab};
use sysfsm_testing::pin_directory::event;

/// The ways of tests/kernel/signals/jumps.c.
const WAYS: [&str; 14] =
    ["-", "j", "o", "oj", "n", "nj", "on", "onj", "oa", "oaj", "ona", "onaj", "onas", "onasj"];
/// How many handlers are nested: as many as a thread may have.
const NESTED: &str = "16";
/// An hour of a timer of a millisecond.
const HOUR: u64 = 3_600_000;
/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A source file of the programs.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/signals").join(name)
}

/// Runs a compiler.
fn compile(lab: &Lab, command: &mut Command) {
    lab.start(command).end_within(PATIENCE).well("the compiler");
}

/// The policy that allows every call after every other one.
fn any_order(lab: &Lab, program: &Path) -> PathBuf {
    let calls: Vec<String> = (0..600).filter_map(|nr| Some(syscall::name(nr)?.into())).collect();
    let policy = json!({"sysfsm": 1, "binary": program, "depth": 1, "transitions": {"": calls}});
    let path = lab.fresh("policy");
    fs::write(&path, policy.to_string()).unwrap();
    path
}

/// Runs a program under its policy, recorded besides; how it ended, and how many handlers have
/// returned.
#[track_caller]
fn lives(lab: &Lab, program: &Path, arguments: &[&str]) -> (Ended, u64) {
    let policy = any_order(lab, program);
    let recorded = lab.fresh("recorded");
    let enforcement = lab.enforce(&[&policy], &[]);
    let mut record = Command::new(binary());
    record.args(["record", "--depth", "1", "-o"]).arg(&recorded).arg("--binary").arg(program);
    record.arg("--").arg(program).args(arguments);
    let ended = lab.start(&mut record).end_within(PATIENCE);
    let said = enforcement.stop_raw();
    let events = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let violations: Vec<String> =
        events.filter(|e| e["event"] == "violation").take(5).map(|v| described(&v)).collect();
    assert!(violations.is_empty(), "{arguments:?}: {violations:?}");
    let ended = ended.well("the program");
    // Handlers that were left count until the thread is seen beyond them: some may be dropped.
    let totals = event(&said, "stop")["totals"].take();
    assert_eq!((&totals["violations"], &totals["kills"]), (&0.into(), &0.into()), "{totals}");
    assert!(totals["judged"].as_u64().unwrap() > 0, "{totals}");
    let learned: Value = serde_json::from_slice(&fs::read(&recorded).unwrap()).unwrap();
    let returns = learned["transitions"][""]["rt_sigreturn"]["calls"].as_u64().unwrap();
    (ended, returns)
}

/// The program of timers.
fn jumps(lab: &Lab) -> PathBuf {
    let program = lab.path("jumps");
    compile(lab, Command::new("gcc").args(["-O1", "-o"]).arg(&program).arg(source("jumps.c")));
    program
}

#[test]
fn handlers_of_timers_return_or_are_left() {
    let lab = Lab::new();
    let program = jumps(&lab);
    for ways in WAYS {
        let (ended, returns) = lives(&lab, &program, &["5000", "30", NESTED, ways]);
        eprintln!("{ways}: {}, {returns} returned", ended.stdout.trim());
        let nested = ended.stdout.contains(" 16 deep");
        assert!(!ways.contains('n') || nested, "{}", ended.stdout);
    }
}

#[test]
#[ignore = "takes minutes: make test-signals"]
fn an_hour_of_timers() {
    let lab = Lab::new();
    let program = jumps(&lab);
    for ways in ["j", "onaj"] {
        let count = (HOUR / 2).to_string();
        let (ended, returns) = lives(&lab, &program, &[&count, "10", NESTED, ways]);
        eprintln!("{ways}: {}, {returns} returned", ended.stdout.trim());
    }
}

#[test]
#[ignore = "takes a compiler of Go: make test-signals"]
fn a_go_program_lives() {
    let lab = Lab::new();
    let program = lab.path("go");
    let mut go = Command::new("go");
    go.env("GOCACHE", lab.path("cache")).env("CGO_ENABLED", "0").env("GO111MODULE", "off");
    compile(&lab, go.args(["build", "-o"]).arg(&program).arg(source("signals.go")));
    let (ended, returns) = lives(&lab, &program, &["60"]);
    eprintln!("go: {}; {returns} returned", ended.stdout.trim());
    assert!(returns > 10_000, "{returns}");
}

#[test]
#[ignore = "takes a Java runtime: make test-signals"]
fn a_java_program_lives() {
    let lab = Lab::new();
    // The launcher finds the rest beside itself: a copy of it, with links to what is installed.
    let installed = fs::read_dir("/usr/lib/jvm")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("bin/javac").exists() && path.join("lib/jvm.cfg").exists())
        .expect("a Java runtime: make test-signals installs one");
    let home = lab.path("java");
    fs::create_dir_all(home.join("bin")).unwrap();
    for part in ["conf", "lib"] {
        symlink(installed.join(part), home.join(part)).unwrap();
    }
    let program = lab.copy(&installed.join("bin/java"), "java/bin/java");
    let classes = lab.path("classes");
    let mut javac = Command::new(installed.join("bin/javac"));
    compile(&lab, javac.args(["-nowarn", "-d"]).arg(&classes).arg(source("Signals.java")));
    let classes = classes.to_str().unwrap();
    let (ended, returns) = lives(&lab, &program, &["-cp", classes, "Signals", "60"]);
    let counts = ended.stderr.lines().find(|line| line.contains(" nulls")).unwrap();
    eprintln!("java: {counts}; {returns} returned");
    assert!(ended.stdout.contains("Full thread dump"), "no SIGQUIT was handled");
    assert!(returns > 10_000, "{returns}");
}
