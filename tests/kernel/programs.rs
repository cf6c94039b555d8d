//! Real programs under policies that were learned from them: the same work, again and again, without one violation.

use crate::lab::Lab;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

const RUNS: usize = 50;

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// Does the workload once.
#[track_caller]
fn work(lab: &Lab, name: &str, program: &Path) {
    let dir = lab.fresh("work");
    fs::create_dir(&dir).unwrap();
    let mut command = Command::new("bash");
    command.arg(policies().join(format!("workloads/{name}.sh"))).arg(program).arg(&dir).env("PORT", port());
    lab.start(&mut command).end().well(name);
    fs::remove_dir_all(dir).unwrap();
}

/// Does the workload again and again under one enforcement.
#[track_caller]
fn lives(lab: &Lab, name: &str, program: &Path, policy: &Path, runs: usize) {
    // What was a violation is reported by its name, and not by the work that failed of it.
    let enforcement = lab.enforce(&[policy], &["--log-only"]);
    for _ in 0..runs / 5 {
        work(lab, name, program);
    }
    enforcement.stop().lawful(name);
    let enforcement = lab.enforce(&[policy], &[]);
    for _ in runs / 5..runs {
        work(lab, name, program);
    }
    enforcement.stop().lawful(name);
}

/// Learns a workload from a copy of the program, and holds the copy to it.
#[track_caller]
fn learned(name: &str, program: &str, quiet: &str) {
    let lab = Lab::new();
    let program = lab.copy(Path::new(program), name);
    let policy = lab.path("learned.json");
    let mut learn = Command::new("bash");
    learn.arg(policies().join("learn.sh")).arg(name).arg(&program).arg(&policy);
    learn.env("SYSFSM", crate::lab::SYSFSM).env("QUIET", quiet).env("PORT", port());
    let said = lab.start(&mut learn).end().well("learn.sh").stdout;
    eprint!("{said}");
    lives(&lab, name, &program, &policy, RUNS);
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
    perl_lives: "perl", "/usr/bin/perl", "2";
    sqlite3_lives: "sqlite3", "/usr/bin/sqlite3", "2";
    python3_lives: "python3", "/usr/bin/python3", "2";
    bash_lives: "bash", "/usr/bin/bash", "2";
    make_lives: "make", "/usr/bin/make", "2";
    nginx_lives: "nginx", "/usr/sbin/nginx", "6";
    redis_server_lives: "redis-server", "/usr/bin/redis-server", "8";
}

/// The policies of this repository, all enforced at once, each on a copy of its program.
#[test]
fn the_repositorys_policies_fit_their_programs() {
    const ROUNDS: usize = 5;
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
    let enforcement = lab.enforce(&bound, &["--log-only"]);
    for _ in 0..ROUNDS {
        for (name, copy) in &programs {
            work(&lab, name, copy);
        }
    }
    let report = enforcement.stop();
    report.lawful("policies/");
    let enforcement = lab.enforce(&bound, &[]);
    for _ in 0..ROUNDS {
        for (name, copy) in &programs {
            work(&lab, name, copy);
        }
    }
    enforcement.stop().lawful("policies/");
}
