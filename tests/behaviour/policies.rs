//! Policies for runs: what was learned from some, but for transitions that are left out by chance.

use crate::model::{Mode, Symbol, Table, SIGNAL};
use std::path::Path;
use sysfsm::machine::{Context, Count, Depth, Machine};
use sysfsm::policy::{Action, Children, Policy};
use sysfsm::syscall;
use sysfsm_testing::random::Random;

/// Leaves out `per_mille` of the transitions, but none of those that begin a program.
pub fn leave_out(random: &mut Random, table: &mut Table, per_mille: usize) {
    for row in table.rows.values_mut() {
        row.retain(|_| random.below(1000) >= per_mille);
    }
    table.rows.retain(|_, row| !row.is_empty());
    table.learn_the_beginning();
}

fn symbol(symbol: Symbol) -> syscall::Symbol {
    match symbol.checked_sub(SIGNAL) {
        Some(signal) => syscall::Symbol::Signal(u8::try_from(signal).unwrap()),
        None => syscall::Symbol::Call(symbol),
    }
}

/// The policy of a program.
pub fn policy(table: &Table, binary: &Path, mode: Mode, inherit: bool) -> Policy {
    let depth = Depth::try_from(table.depth as u64).unwrap();
    let mut machine = Machine::new(depth);
    for (context, row) in &table.rows {
        let context = Context::of(context.iter().map(|s| symbol(*s)), depth);
        for to in row {
            machine.insert(context, symbol(*to), Count { calls: 1, runs: 1 });
        }
    }
    Policy {
        binary: binary.display().to_string().into(),
        cgroup: None,
        action: if mode == Mode::Kill { Action::Kill } else { Action::Log },
        children: if inherit { Children::Inherit } else { Children::Release },
        runs: 1,
        machine,
    }
}
