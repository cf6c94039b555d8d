//! The reader of logs: lines of one program, and of threads that interrupt each other.

#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use std::hint::black_box;
use sysfsm::trace::Reader;
use sysfsm_fixtures::load;

fn parser(c: &mut Criterion) {
    let mut group = c.benchmark_group("parser");
    for (name, text) in
        [("plain", load::log(25_000, false)), ("interrupted", load::log(25_000, true))]
    {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched(
                Reader::new,
                |mut reader| {
                    let mut events = 0_u64;
                    reader
                        .read(0, text.as_bytes(), &mut |event| {
                            events += u64::from(black_box(event).tid);
                        })
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
