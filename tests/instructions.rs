//! What a line of a log and a step cost, in instructions: counted by valgrind, so that the bounds hold on any machine,
//! however busy. Times are the matter of `make bench`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Instructions that a program executes, in all its threads; on one processor, so that it has no reason to have several.
fn count(program: &Path, arguments: &[&str]) -> u64 {
    let output = Command::new("taskset")
        .args(["-c", "0", "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output()
        .expect("taskset (util-linux) and valgrind are there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let counted = said.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind's count").1;
    counted.trim().parse().unwrap()
}

/// How many each of so many more things takes.
fn each(few: u64, many: u64, more: u64) -> u64 {
    (many - few) / more
}

#[track_caller]
fn within(what: &str, instructions: u64, bound: u64) {
    println!("{what}: {instructions} instructions, at most {bound}");
    // Far below it the bound guards nothing any more.
    assert!(instructions <= bound, "{what}: {instructions}, bound {bound}");
}

/// Blocks of four lines of one program, or of two threads that interrupt each other.
fn log(blocks: u64, threads: bool) -> String {
    let mut text = String::from("7 execve(\"/bin/a\", [\"a\"], 0x7ffe /* 9 vars */) = 0\n");
    if threads {
        text.push_str("7 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 8\n");
    }
    for i in 0..blocks {
        let _ = if threads {
            write!(
                text,
                "7 read(3,  <unfinished ...>\n8 futex(0x7f00, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>\n\
                 7 <... read resumed>\"abc\", 4096) = {i}\n8 <... futex resumed>) = 0\n"
            )
        } else {
            write!(
                text,
                "7 openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY|O_CLOEXEC) = 3\n\
                 7 read(3, \"\\177ELF\\2\\1\\1\\3\\0\\0\"..., 4096) = {i}\n\
                 7 newfstatat(3, \"\", {{st_mode=S_IFREG|0644, st_size=14, ...}}, AT_EMPTY_PATH) = 0\n7 close(3) = 0\n"
            )
        };
    }
    text
}

/// Instructions a line, of a command that reads a log.
fn a_line(dir: &Path, command: &[&str], threads: bool) -> u64 {
    const FEW: u64 = 500;
    const MANY: u64 = 5_500;
    let of = |blocks: u64| {
        let file = dir.join(format!("{blocks}.log"));
        fs::write(&file, log(blocks, threads)).unwrap();
        count(Path::new(env!("CARGO_BIN_EXE_sysfsm")), &[command, &[file.to_str().unwrap()]].concat())
    };
    each(of(FEW), of(MANY), (MANY - FEW) * 4)
}

#[test]
fn a_line_of_a_log() {
    let dir = TempDir::new().unwrap();
    let policy = dir.path().join("policy.json");
    let policy = policy.to_str().unwrap();
    let extract = ["extract", "-o", policy];
    within("extract, a plain line", a_line(dir.path(), &extract, false), 900);
    within("check, a plain line", a_line(dir.path(), &["check", "--policy", policy], false), 1250);
    within("extract, a line of two threads", a_line(dir.path(), &extract, true), 1400);
}

#[test]
fn a_step() {
    let steps = Path::new(env!("CARGO_BIN_EXE_sysfsm")).with_file_name("examples").join("steps");
    for (depth, bound) in [("2", 420), ("8", 800)] {
        let of = |count_of_steps: &str| count(&steps, &[depth, count_of_steps]);
        within(&format!("a step at depth {depth}"), each(of("1000"), of("21000"), 20_000), bound);
    }
}
