//! Machines → tables.

#![allow(missing_docs)]

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use sysfsm::machine::{Context, Count, Depth, Machine};
use sysfsm::syscall::Symbol;
use sysfsm::table::Table;

/// A machine with so many contexts of ten calls each.
fn machine(contexts: u32) -> Machine {
    let depth = Depth::PAIRS;
    let mut machine = Machine::new(depth);
    for at in 0..contexts {
        let context = Context::start(Symbol::Call(at), depth);
        for i in 1..=10 {
            machine.insert(context, Symbol::Call((at * 7 + i * 13) % 350), Count::default());
        }
    }
    machine
}

fn compiler(c: &mut Criterion) {
    let mut group = c.benchmark_group("compiler");
    for (name, machines) in
        [("one large", vec![machine(350)]), ("a thousand small", vec![machine(20); 1000])]
    {
        let transitions: usize = machines.iter().map(Machine::transitions).sum();
        group.throughput(Throughput::Elements(transitions as u64));
        group.bench_function(name, |b| {
            b.iter(|| Table::default().insert(&machines.iter().collect::<Vec<_>>()));
        });
    }
    group.finish();
}

criterion_group!(benches, compiler);
criterion_main!(benches);
