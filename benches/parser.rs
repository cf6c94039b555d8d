//! The reader of logs: lines of one program, and of threads that interrupt each other.

#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use std::fmt::Write as _;
use std::hint::black_box;
use sysfsm::trace::Reader;

/// What a program that reads and writes leaves in a log.
fn plain(lines: usize) -> String {
    let mut text = String::from("7 execve(\"/bin/a\", [\"a\"], 0x7ffe /* 9 vars */) = 0\n");
    for i in 0..lines {
        let _ = match i % 4 {
            0 => writeln!(text, "7 openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY|O_CLOEXEC) = 3"),
            1 => writeln!(text, "7 read(3, \"\\177ELF\\2\\1\\1\\3\\0\\0\"..., 4096) = {}", i % 4097),
            2 => writeln!(
                text,
                "7 newfstatat(3, \"\", {{st_mode=S_IFREG|0644, st_size=14, ...}}, AT_EMPTY_PATH) = 0"
            ),
            _ => writeln!(text, "7 close(3) = 0"),
        };
    }
    text
}

/// The same of two threads, each of whose calls the other interrupts.
fn interrupted(lines: usize) -> String {
    let mut text = String::from("7 execve(\"/bin/a\", [\"a\"], 0x7ffe /* 9 vars */) = 0\n");
    text.push_str("7 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) = 8\n");
    for _ in 0..lines / 4 {
        text.push_str(
            "7 read(3,  <unfinished ...>\n8 futex(0x7f00, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>\n",
        );
        text.push_str("7 <... read resumed>\"abc\", 4096) = 3\n8 <... futex resumed>) = 0\n");
    }
    text
}

fn parser(c: &mut Criterion) {
    let mut group = c.benchmark_group("parser");
    for (name, text) in [("plain", plain(100_000)), ("interrupted", interrupted(100_000))] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched(
                Reader::new,
                |mut reader| {
                    let mut events = 0_u64;
                    reader
                        .read(0, text.as_bytes(), &mut |event| events += u64::from(black_box(event).tid))
                        .unwrap();
                    events
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, parser);
criterion_main!(benches);
