//! The compiler.

use super::comb::Comb;
use super::{Cell, State, CALLS, SIGNALS};
use crate::machine::{Context, Depth, Machine};
use crate::syscall::{nr, Symbol};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

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
pub fn compile(machines: &[&Machine]) -> Tables {
    let mut comb = Comb::new();
    let mut tables = Tables::default();
    // What is a machine's own is found out on all processors; where its rows go depends on those before it.
    let wanted: Vec<Wanted> = machines.par_iter().map(|machine| Wanted::of(machine)).collect();
    for (index, wanted) in wanted.iter().enumerate() {
        one(index, wanted, &mut comb, &mut tables);
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

fn one(index: usize, wanted: &Wanted, comb: &mut Comb, tables: &mut Tables) {
    let mut states = vec![0; wanted.rows.len()];
    for &at in &wanted.order {
        let (Some(row), Some(state)) = (wanted.rows.get(at), states.get_mut(at)) else { continue };
        *state = comb.place(&row.columns);
        let known = row.known;
        tables.rows.push(Row { state: *state, machine: index, context: row.context, known });
    }
    let state = |at: usize| states.get(at).copied().unwrap_or(0);
    for (from, row) in states.iter().zip(&wanted.rows) {
        for &(call, target) in &row.edges {
            put(comb, &mut tables.far, *from, call, state(target));
        }
    }

    let exec = state(wanted.exec);
    let signals = wanted.signals.map(state);
    let mut entry = Entry { exec, lost: exec, members: 0, singles: 0, depth: wanted.depth, signals };
    if wanted.depth.context_len() > 0 {
        entry.lost = comb.place(&[]);
        tables.rows.push(Row { state: entry.lost, machine: index, context: Context::EMPTY, known: false });
        let alphabet: Vec<(u32, State)> = wanted.alphabet.iter().map(|&call| (call, 1)).collect();
        entry.members = extra(comb, &mut tables.far, &alphabet);
        let singles: Vec<(u32, State)> =
            wanted.singles.iter().map(|&(call, target)| (call, state(target))).collect();
        entry.singles = extra(comb, &mut tables.far, &singles);
    }
    tables.entries.push(entry);
}

/// What a machine wants of the table. States are places in `rows`.
struct Wanted {
    depth: Depth,
    /// Every state that the machine can be in, ascending by context: its contexts, where its edges lead, and where
    /// frames begin. One that the machine has no transitions from is a state all the same: nothing is allowed in it.
    rows: Vec<WantedRow>,
    /// In which order they are laid: large ones first, they are the ones that are hard to fit.
    order: Vec<usize>,
    exec: usize,
    signals: [usize; SIGNALS],
    /// The calls that a lost thread may make.
    alphabet: Vec<u32>,
    /// The contexts of one call.
    singles: Vec<(u32, usize)>,
}

struct WantedRow {
    context: Context,
    known: bool,
    /// Calls, ascending, and where they lead.
    edges: Vec<(u32, usize)>,
    /// Those that have a column.
    columns: Vec<u32>,
}

impl Wanted {
    fn of(machine: &Machine) -> Self {
        let depth = machine.depth();
        let leads =
            |context: &Context, symbol: Symbol| Some((has_cell(symbol)?, context.then(symbol, depth)));
        let edges = |context: &'_ Context| -> Vec<(u32, Context)> {
            let row = machine.row(context).into_iter().flat_map(BTreeMap::keys);
            row.filter_map(|&symbol| leads(context, symbol)).collect()
        };
        let start = |first: Symbol| Context::start(first, depth);
        let exec = start(Symbol::Call(nr::EXECVE));
        let signals = (0_u8..).take(SIGNALS).map(Symbol::Signal);
        let mut contexts: Vec<Context> = signals.map(start).chain([exec]).collect();
        for (context, _) in machine.rows() {
            contexts.push(*context);
            contexts.extend(edges(context).iter().map(|e| e.1));
        }
        contexts.sort_unstable();
        contexts.dedup();
        let places: FxHashMap<Context, usize> = contexts.iter().copied().zip(0..).collect();
        let place = |context: &Context| places.get(context).copied().unwrap_or(0);
        let rows: Vec<WantedRow> = contexts
            .iter()
            .map(|context| {
                let edges: Vec<(u32, usize)> =
                    edges(context).iter().map(|(call, to)| (*call, place(to))).collect();
                let columns = edges.iter().map(|e| e.0).filter(|&c| c < CALLS).collect();
                WantedRow { context: *context, known: machine.row(context).is_some(), edges, columns }
            })
            .collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(rows.get(at).map_or(0, |row| row.edges.len())));
        let mut signals = [0; SIGNALS];
        for (signal, at) in (0_u8..).zip(signals.iter_mut()) {
            *at = place(&start(Symbol::Signal(signal)));
        }
        let singles = machine.rows().filter_map(|(context, _)| match context.symbols() {
            [Symbol::Call(call)] => Some((*call, place(context))),
            _ => None,
        });
        Wanted {
            depth,
            order,
            exec: place(&exec),
            signals,
            alphabet: machine.alphabet().into_iter().filter_map(has_cell).collect(),
            singles: singles.collect(),
            rows,
        }
    }
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
    use std::collections::BTreeSet;

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
        let tables = compile(&machines.iter().collect::<Vec<_>>());
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
        let tables = compile(&machines.iter().collect::<Vec<_>>());
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
        let tables = compile(&[&large]);
        assert!(transitions > 80_000, "{transitions}");
        assert!(
            tables.cells.len() < 2 * transitions + 2000,
            "{} cells for {transitions}",
            tables.cells.len()
        );
    }
}
