//! The compiler.

use super::comb::Comb;
use super::{Cell, State, CALLS, SIGNALS};
use crate::machine::{Context, Depth, Machine};
use crate::syscall::{nr, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// What a machine is besides its cells (`struct sysfsm_policy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The state after an exec.
    pub exec: State,
    /// The state of a thread whose past is unknown; at depth 1 the only state.
    pub lost: State,
    /// A row that owns the cells of the alphabet.
    pub members: State,
    /// A row that leads to the contexts of one symbol.
    pub singles: State,
    /// The machine's depth.
    pub depth: Depth,
    /// The state in which the handler of each signal begins.
    pub signals: [State; SIGNALS],
}

/// A cell of a call without a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FarCell {
    /// The state.
    pub state: State,
    /// The call.
    pub call: u32,
    /// Where it leads.
    pub next: State,
}

/// A state, and the context that it stands for. The empty context stands for an unknown past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The state.
    pub state: State,
    /// Which machine it is of, by its place in the input.
    pub machine: usize,
    /// The context.
    pub context: Context,
    /// Whether the machine has transitions from it: only then it is found again by a thread that was lost.
    pub known: bool,
}

/// Everything that the kernel reads of a set of machines.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// The array of rows.
    pub cells: Vec<Cell>,
    /// Cells of calls without a column.
    pub far: Vec<FarCell>,
    /// One for each machine, in the order of the input.
    pub entries: Vec<Entry>,
    /// Every state that stands for a context, ascending by state.
    pub rows: Vec<Row>,
}

impl Tables {
    /// Where `call` leads from `state`; none if the row has no such cell. What the kernel does at a step.
    #[must_use]
    pub fn edge(&self, state: State, call: u32) -> Option<State> {
        if call >= CALLS {
            return self.far.iter().find(|f| (f.state, f.call) == (state, call)).map(|f| f.next);
        }
        let found = self.cells.get(state as usize + call as usize)?;
        (found.owner == state).then_some(found.next)
    }

    /// What a state stands for.
    #[must_use]
    pub fn row(&self, state: State) -> Option<&Row> {
        self.rows.binary_search_by_key(&state, |r| r.state).ok().and_then(|i| self.rows.get(i))
    }
}

/// Lays machines into tables.
#[must_use]
pub fn compile<'a>(machines: impl IntoIterator<Item = &'a Machine>) -> Tables {
    let mut comb = Comb::default();
    let mut tables = Tables::default();
    for (index, machine) in machines.into_iter().enumerate() {
        one(index, machine, &mut comb, &mut tables);
    }
    tables.cells = comb.finish();
    tables.rows.sort_unstable_by_key(|r| r.state);
    tables
}

/// The calls that never ask the table: always allowed, or no symbol.
fn has_cell(symbol: Symbol) -> Option<u32> {
    match symbol {
        Symbol::Call(nr::RT_SIGRETURN | nr::EXIT | nr::EXIT_GROUP | nr::RESTART_SYSCALL)
        | Symbol::Signal(_) => None,
        Symbol::Call(number) => Some(number),
    }
}

fn one(index: usize, machine: &Machine, comb: &mut Comb, tables: &mut Tables) {
    let depth = machine.depth();
    let wanted = edges(machine);
    let mut states: BTreeMap<Context, State> = BTreeMap::new();
    // Large rows first: they are the ones that are hard to fit.
    let mut order: Vec<(&Context, &Vec<(u32, Context)>)> = wanted.iter().collect();
    order.sort_by_key(|(context, row)| (std::cmp::Reverse(row.len()), **context));
    for (context, row) in order {
        let columns: Vec<u32> = row.iter().map(|e| e.0).filter(|&c| c < CALLS).collect();
        let state = comb.place(&columns);
        states.insert(*context, state);
        tables.rows.push(Row {
            state,
            machine: index,
            context: *context,
            known: machine.row(context).is_some(),
        });
    }
    for (context, row) in &wanted {
        let from = states.get(context).copied().unwrap_or(0);
        for (call, target) in row {
            put(comb, &mut tables.far, from, *call, states.get(target).copied().unwrap_or(0));
        }
    }

    let start = |first: Symbol| states.get(&Context::start(first, depth)).copied().unwrap_or(0);
    let exec = start(Symbol::Call(nr::EXECVE));
    let mut signals = [0; SIGNALS];
    for (signal, state) in (0_u8..).zip(signals.iter_mut()) {
        *state = start(Symbol::Signal(signal));
    }
    let mut entry = Entry { exec, lost: exec, members: 0, singles: 0, depth, signals };
    if depth.context_len() > 0 {
        entry.lost = comb.place(&[]);
        tables.rows.push(Row { state: entry.lost, machine: index, context: Context::EMPTY, known: false });
        let alphabet: Vec<(u32, State)> =
            machine.alphabet().into_iter().filter_map(has_cell).map(|call| (call, 1)).collect();
        entry.members = extra(comb, &mut tables.far, &alphabet);
        let singles: Vec<(u32, State)> = machine
            .rows()
            .filter_map(|(context, _)| match context.symbols() {
                [Symbol::Call(call)] => Some((*call, states.get(context).copied()?)),
                _ => None,
            })
            .collect();
        entry.singles = extra(comb, &mut tables.far, &singles);
    }
    tables.entries.push(entry);
}

/// Every state that the machine can be in, with its edges: its contexts, where its edges lead, and where
/// frames begin. One that the machine has no transitions from is a state all the same: nothing is allowed in it.
fn edges(machine: &Machine) -> BTreeMap<Context, Vec<(u32, Context)>> {
    let depth = machine.depth();
    let mut all: BTreeMap<Context, Vec<(u32, Context)>> = BTreeMap::new();
    let mut reached: BTreeSet<Context> = (0_u8..)
        .take(SIGNALS)
        .map(Symbol::Signal)
        .chain([Symbol::Call(nr::EXECVE)])
        .map(|first| Context::start(first, depth))
        .collect();
    for (context, row) in machine.rows() {
        let row: Vec<(u32, Context)> =
            row.keys().filter_map(|&symbol| Some((has_cell(symbol)?, context.then(symbol, depth)))).collect();
        reached.extend(row.iter().map(|e| e.1));
        all.insert(*context, row);
    }
    for context in reached {
        all.entry(context).or_default();
    }
    all
}

/// A row that is no context's.
fn extra(comb: &mut Comb, far: &mut Vec<FarCell>, cells: &[(u32, State)]) -> State {
    let columns: Vec<u32> = cells.iter().map(|c| c.0).filter(|&c| c < CALLS).collect();
    let state = comb.place(&columns);
    for &(call, next) in cells {
        put(comb, far, state, call, next);
    }
    state
}

fn put(comb: &mut Comb, far: &mut Vec<FarCell>, state: State, call: u32, next: State) {
    if call < CALLS {
        comb.set(state, call, next);
    } else {
        far.push(FarCell { state, call, next });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::machine::Count;

    fn machine(depth: u64, rows: &[(&str, &str)]) -> Machine {
        let mut machine = Machine::new(Depth::try_from(depth).unwrap());
        for (context, symbols) in rows {
            for symbol in symbols.split(' ') {
                machine.insert(context.parse().unwrap(), symbol.parse().unwrap(), Count::default());
            }
        }
        machine
    }

    /// Every cell is an edge of the machine, and every edge that needs a cell has one.
    fn same(machines: &[Machine]) {
        let tables = compile(machines);
        for row in &tables.rows {
            let machine = &machines[row.machine];
            for call in (0..CALLS).chain([5000, u32::MAX]) {
                let symbol = Symbol::Call(call);
                let want = has_cell(symbol)
                    .and_then(|_| machine.row(&row.context))
                    .filter(|r| r.contains_key(&symbol))
                    .map(|_| row.context.then(symbol, machine.depth()));
                let found = tables.edge(row.state, call).map(|next| tables.row(next).unwrap().context);
                assert_eq!(found, want, "{} · {symbol}", row.context);
            }
        }
        for (machine, entry) in machines.iter().zip(&tables.entries) {
            let exec = Context::start(Symbol::Call(nr::EXECVE), machine.depth());
            assert_eq!(tables.row(entry.exec).unwrap().context, exec);
            for signal in 1..=64 {
                let start = Context::start(Symbol::Signal(signal), machine.depth());
                assert_eq!(tables.row(entry.signals[usize::from(signal)]).unwrap().context, start);
            }
        }
    }

    #[test]
    fn cells_are_the_machines_edges_and_no_others() {
        same(&[
            machine(
                2,
                &[
                    ("execve", "brk exit_group"),
                    ("brk", "mmap syscall_5000"),
                    ("syscall_5000", "brk"),
                    ("@SIGUSR1", "write rt_sigreturn"),
                ],
            ),
            machine(1, &[("", "brk mmap read syscall_4294967295 exit")]),
            machine(
                3,
                &[("execve", "brk"), ("execve brk", "mmap"), ("brk mmap", "read"), ("@SIGHUP", "read")],
            ),
            Machine::new(Depth::PAIRS),
        ]);
    }

    #[test]
    fn states_of_different_machines_never_meet() {
        let machines: Vec<Machine> =
            (0..50).map(|_| machine(2, &[("execve", "brk"), ("brk", "mmap read")])).collect();
        same(&machines);
        let tables = compile(&machines);
        let unique: BTreeSet<State> = tables.rows.iter().map(|r| r.state).collect();
        assert_eq!(unique.len(), tables.rows.len());
    }

    #[test]
    fn cells_are_about_as_many_as_transitions() {
        let mut large = Machine::new(Depth::try_from(8).unwrap());
        // Contexts of four transitions each, as a long-trained deep machine has.
        for i in 0..25_000_u32 {
            let context = Context::of(
                (0..7).map(|k| Symbol::Call((i >> (2 * k)) % 300 + 300 * (k % 2))),
                large.depth(),
            );
            for j in 0..4 {
                large.insert(context, Symbol::Call((i * 7 + j * 13) % 440 + 500), Count::default());
            }
        }
        let transitions = large.transitions();
        let tables = compile([&large]);
        assert!(transitions > 80_000, "{transitions}");
        assert!(
            tables.cells.len() < 2 * transitions + 2000,
            "{} cells for {transitions}",
            tables.cells.len()
        );
    }
}
