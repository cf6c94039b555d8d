//! Real programs under policies that were learned from them: the same work, again and again,
//! without one violation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use sysfsm_testing::lab::{described, Lab};

const RUNS: usize = 50;
/// How long learning may take, on a machine that does other work too.
const LEARNING: Duration = Duration::from_secs(600);

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// Does the workload once; what it complained of, if it did not end well. So many lines tell why:
/// the rest is the same again.
fn work(lab: &Lab, name: &str, program: &Path) -> Result<(), String> {
    const LINES: usize = 20;
    let dir = lab.fresh("work");
    fs::create_dir(&dir).unwrap();
    let mut command = Command::new("bash");
    command.arg(policies().join(format!("workloads/{name}.sh"))).arg(program).arg(&dir);
    let ended = lab.start(&mut command).end();
    fs::remove_dir_all(dir).unwrap();
    if ended.status.success() {
        return Ok(());
    }
    let mut lines: Vec<&str> = ended.stdout.lines().chain(ended.stderr.lines()).collect();
    let more = lines.len().saturating_sub(LINES);
    lines.truncate(LINES);
    Err(format!("{}\n{}\n({more} more lines)", ended.status, lines.join("\n")))
}

/// Does workloads, `rounds` times, under enforcement: five one after another, then twice five at
/// once, and so on.
#[track_caller]
fn live(lab: &Lab, programs: &[(String, PathBuf)], policies: &[&Path], rounds: usize) {
    const CROWD: usize = 5;
    let round = || {
        programs.iter().try_for_each(|(name, program)| {
            work(lab, name, program).map_err(|what| format!("{name}: {what}"))
        })
    };
    let enforcement = lab.enforce(policies, &[]);
    let ended = (0..rounds).step_by(CROWD).try_for_each(|done| {
        let count = CROWD.min(rounds - done);
        if (done / CROWD).is_multiple_of(3) {
            return (0..count).try_for_each(|_| round());
        }
        std::thread::scope(|scope| {
            // All are started before the first is waited for.
            let crowd: Vec<_> = (0..count).map(|_| scope.spawn(round)).collect();
            crowd.into_iter().try_for_each(|one| one.join().unwrap())
        })
    });
    let report = enforcement.stop();
    // A violation is why the work failed, so it is reported with it.
    if let Err(what) = ended {
        let violations: Vec<String> = report.violations.iter().take(10).map(described).collect();
        panic!("{what}\n{} violations: {violations:?}", report.violations.len());
    }
    report.lawful(&format!("{rounds} rounds"));
}

/// Learns a workload from a copy of the program, and holds the copy to it.
#[track_caller]
fn learned(name: &str, program: &str, quiet: &str) {
    let lab = Lab::new();
    let program = lab.copy(Path::new(program), name);
    let policy = lab.path("learned.json");
    let mut learn = Command::new("bash");
    learn.arg(policies().join("learn.sh")).arg(name).arg(&program).arg(&policy);
    learn.env("SYSFSM", sysfsm_testing::binary()).env("QUIET", quiet);
    let said = lab.start(&mut learn).end_within(LEARNING).well("learn.sh").stdout;
    eprint!("{said}");
    live(&lab, &[(name.to_string(), program)], &[&policy], RUNS);
}

macro_rules! programs {
    ($($test:ident: $name:literal, $program:literal, $quiet:literal;)*) => {
        $(#[test]
        fn $test() {
            learned($name, $program, $quiet);
        })*
    };
}

programs! {
    cat_lives: "cat", "/usr/bin/cat", "2";
    ls_lives: "ls", "/usr/bin/ls", "2";
    tar_lives: "tar", "/usr/bin/tar", "2";
    gzip_lives: "gzip", "/usr/bin/gzip", "2";
    find_lives: "find", "/usr/bin/find", "2";
    grep_lives: "grep", "/usr/bin/grep", "2";
    sort_with_threads_lives: "sort", "/usr/bin/sort", "2";
    xz_with_threads_lives: "xz", "/usr/bin/xz", "2";
    ripgrep_with_threads_lives: "rg", "/usr/bin/rg", "6";
    perl_lives: "perl", "/usr/bin/perl", "2";
    sqlite3_lives: "sqlite3", "/usr/bin/sqlite3", "2";
    python3_lives: "python3", "/usr/bin/python3", "2";
    bash_lives: "bash", "/usr/bin/bash", "2";
    make_lives: "make", "/usr/bin/make", "2";
    nginx_lives: "nginx", "/usr/sbin/nginx", "4";
    redis_server_lives: "redis-server", "/usr/bin/redis-server", "2";
}

/// The policies of this repository, all enforced at once, each on a copy of its program.
#[test]
fn the_repositorys_policies_fit_their_programs() {
    const ROUNDS: usize = 10;
    let lab = Lab::new();
    let mut programs = Vec::new();
    let mut bound = Vec::new();
    for entry in fs::read_dir(policies()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let policy: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let binary = Path::new(policy["binary"].as_str().unwrap());
        let copy = lab.copy(binary, binary.file_name().unwrap().to_str().unwrap());
        bound.push(lab.with(&file, "binary", copy.to_str().unwrap().into()));
        programs.push((file.file_stem().unwrap().to_str().unwrap().to_string(), copy));
    }
    assert!(programs.len() >= 8, "{programs:?}");
    let bound: Vec<&Path> = bound.iter().map(PathBuf::as_path).collect();
    live(&lab, &programs, &bound, ROUNDS);
}
