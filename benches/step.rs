//! The step in Rust, the specification of the kernel's, at several depths.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use std::hint::black_box;
use sysfsm::machine::{Context, Count, Depth, Judge, Machine, Reaction};
use sysfsm::syscall::{nr, Symbol};

/// Calls in turn, as a program in its loop makes them.
const LOOP: [u32; 8] = [0, 1, 3, 257, 262, 9, 11, 202];
const CALLS: u64 = 10_000;

fn judge(depth: Depth) -> Judge {
    let mut machine = Machine::new(depth);
    let mut context = Context::start(Symbol::Call(nr::EXECVE), depth);
    for number in LOOP.into_iter().cycle().take(100) {
        machine.insert(context, Symbol::Call(number), Count::default());
        context = context.then(Symbol::Call(number), depth);
    }
    Judge::new(&machine)
}

fn step(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(CALLS));
    for depth in Depth::all().filter(|d| [1, 2, 4, 8].contains(&d.get())) {
        let judge = judge(depth);
        group.bench_function(format!("depth {depth}"), |b| {
            b.iter(|| {
                let mut frames = judge.exec();
                for number in LOOP.into_iter().cycle().take(10_000) {
                    black_box(judge.call(&mut frames, number, Reaction::Stay));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
