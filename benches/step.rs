//! The step in Rust, the specification of the kernel's, at several depths.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use std::hint::black_box;
use sysfsm::machine::{Depth, Reaction};
use sysfsm_fixtures::load::{self, LOOP};

const CALLS: u64 = 10_000;

fn step(c: &mut Criterion) {
    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(CALLS));
    for depth in Depth::all().filter(|d| [1, 2, 4, 8].contains(&d.get())) {
        let judge = load::judge(depth);
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
