//! From a machine to its rows in the table, and from the states of one machine to those of another.

use crate::machine::{self, Context, Depth, Judge, Machine};
use crate::syscall::{nr, Symbol};
use crate::table::cell::{Cell, State, CALLS, SIGNALS};
use crate::table::comb::Comb;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// What the kernel has to know of a machine besides its cells (`struct sysfsm_policy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The state after an exec.
    pub exec: State,
    /// The state of a thread whose past is unknown. At depth 1 this is the only state.
    pub lost: State,
    /// The base of a row with a cell for each call of the alphabet; 0 at depth 1.
    pub members: State,
    /// The base of a row whose cells lead to the contexts of one symbol; 0 at depth 1.
    pub singles: State,
    /// The machine's depth.
    pub depth: Depth,
    /// By signal number, the state in which the signal's handler begins.
    pub signals: [State; SIGNALS],
}

/// A cell of a call that has no column: its number is [`CALLS`] or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FarCell {
    /// The state in which the call is allowed.
    pub state: State,
    /// The call's number.
    pub call: u32,
    /// The state after the call.
    pub next: State,
}

/// A state, and the context that it stands for. The empty context is that of an unknown past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The state.
    pub state: State,
    /// The context.
    pub context: Context,
    /// Whether the machine has transitions from this context. Only such a context is found again by
    /// a thread that was lost.
    pub known: bool,
}

/// A machine that has its rows in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledMachine {
    /// What the kernel has to know besides the cells.
    pub entry: Entry,
    /// Every state, with the context that it stands for.
    pub rows: Vec<Row>,
    /// The cells, each with its index in the array.
    pub cells: Vec<(u32, Cell)>,
    /// The cells of calls that have no column.
    pub far: Vec<FarCell>,
    /// The bases of all rows, in the order in which [`Table::insert_at`] takes them.
    pub bases: Vec<State>,
}

/// The array of all machines' rows. Machines come and go. The rows of a machine that stays do not
/// move.
///
/// ```
/// use sysfsm::machine::{Count, Depth, Machine};
/// use sysfsm::syscall::number;
/// use sysfsm::table::Table;
///
/// let mut machine = Machine::new(Depth::PAIRS);
/// machine.insert("execve".parse()?, "brk".parse()?, Count::default());
/// let mut table = Table::default();
/// let compiled = table.insert(&[&machine]).remove(0);
///
/// // One step: the cell of (state, call) is the state's own, and has the next state.
/// let (state, call) = (compiled.entry.exec, number("brk").unwrap());
/// let (_, cell) = compiled.cells.iter().find(|(index, _)| *index == state + call).unwrap();
/// assert_eq!(cell.owner, state);
/// assert!(compiled.rows.iter().any(|row| row.state == cell.next));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Table {
    comb: Comb,
}

impl Default for Table {
    fn default() -> Self {
        Table { comb: Comb::new() }
    }
}

impl Table {
    /// The length of the array, in cells.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.comb.len()
    }

    /// Inserts machines into the gaps between the rows that are there.
    #[must_use]
    pub fn insert(&mut self, machines: &[&Machine]) -> Vec<CompiledMachine> {
        // A machine's rows are computed on all processors. Their bases depend on the machines
        // before it.
        let unplaced: Vec<UnplacedMachine> =
            machines.par_iter().map(|machine| UnplacedMachine::of(machine)).collect();
        unplaced.iter().map(|unplaced| self.insert_one(unplaced)).collect()
    }

    /// Inserts machines where they were before, each at its [`CompiledMachine::bases`]. Returns
    /// `None` if the bases cannot be those of the machines, or are taken; what was inserted until
    /// then stays.
    #[must_use]
    pub fn insert_at(&mut self, machines: &[(&Machine, &[State])]) -> Option<Vec<CompiledMachine>> {
        let unplaced: Vec<UnplacedMachine> =
            machines.par_iter().map(|(machine, _)| UnplacedMachine::of(machine)).collect();
        unplaced
            .iter()
            .zip(machines)
            .map(|(unplaced, (_, bases))| self.insert_one_at(unplaced, bases))
            .collect()
    }

    /// Clears a machine's cells. Its bases stay taken, since threads may still be in its states.
    pub fn clear_rows(&mut self, compiled: &CompiledMachine) {
        self.comb.clear(compiled.cells.iter().map(|cell| cell.0));
    }

    /// Frees the bases of a machine whose rows were cleared.
    pub fn free(&mut self, bases: &[State]) {
        self.comb.free(bases);
    }

    /// Takes the bases of a machine whose rows were cleared, so that no other machine gets them.
    pub fn reserve(&mut self, bases: &[State]) {
        self.comb.reserve(bases);
    }

    fn insert_one(&mut self, unplaced: &UnplacedMachine) -> CompiledMachine {
        let mut bases = vec![0; unplaced.rows.len()];
        for &at in &unplaced.order {
            if let (Some(row), Some(base)) = (unplaced.rows.get(at), bases.get_mut(at)) {
                *base = self.comb.insert(&row.columns);
            }
        }
        for columns in unplaced.further() {
            bases.push(self.comb.insert(&columns));
        }
        unplaced.compiled(bases)
    }

    fn insert_one_at(
        &mut self,
        unplaced: &UnplacedMachine,
        bases: &[State],
    ) -> Option<CompiledMachine> {
        let rows = unplaced.rows.iter().map(|row| row.columns.clone()).chain(unplaced.further());
        let rows: Vec<Vec<u32>> = rows.collect();
        let fits = rows.len() == bases.len()
            && rows.iter().zip(bases).all(|(row, &base)| self.comb.insert_at(base, row));
        fits.then(|| unplaced.compiled(bases.to_vec()))
    }
}

/// Where the threads in a state of a machine that another one has replaced go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationTarget {
    /// The state of the other machine.
    pub state: State,
    /// Their context, if that state does not stand for it.
    pub context: Context,
}

/// Of every state that a machine's threads can be in where they go on ([`Judge::migrated`]); its
/// lost ones excepted.
#[must_use]
pub fn migrations(
    from: &CompiledMachine,
    to: &CompiledMachine,
    machine: &Machine,
) -> Vec<(State, MigrationTarget)> {
    let judge = Judge::new(machine);
    let states: FxHashMap<Context, State> =
        to.rows.iter().map(|row| (row.context, row.state)).collect();
    let lost = |context| MigrationTarget { state: to.entry.lost, context };
    from.rows
        .iter()
        .filter(|row| row.state != from.entry.lost)
        .map(|row| {
            let target = match judge.migrated(machine::State::In(row.context), from.entry.depth) {
                machine::State::Lost(context) => lost(context),
                machine::State::In(context) => {
                    states.get(&context).map_or(lost(context), |&state| MigrationTarget {
                        state,
                        context: Context::EMPTY,
                    })
                }
            };
            (row.state, target)
        })
        .collect()
}

/// The number of a call that asks the table. The other calls are always allowed, or are no symbols.
fn has_cell(symbol: Symbol) -> Option<u32> {
    match symbol {
        Symbol::Call(nr::RT_SIGRETURN | nr::EXIT | nr::EXIT_GROUP | nr::RESTART_SYSCALL)
        | Symbol::Signal(_) => None,
        Symbol::Call(number) => Some(number),
    }
}

/// A machine's rows before they have bases: a state is an index into `rows`.
struct UnplacedMachine {
    depth: Depth,
    /// Every state that the machine can be in, ascending by context: its contexts, where its edges
    /// lead, and where frames begin. A context that the machine has no transitions from is a state,
    /// too: no call is allowed in it.
    rows: Vec<UnplacedRow>,
    /// In which order the rows are inserted: large ones first, which are hard to fit.
    order: Vec<usize>,
    exec: usize,
    signals: [usize; SIGNALS],
    /// The calls that a lost thread may make.
    alphabet: Vec<u32>,
    /// The contexts of one call.
    singles: Vec<(u32, usize)>,
}

/// A row that has no base yet.
struct UnplacedRow {
    context: Context,
    known: bool,
    /// Calls, ascending, and where they lead.
    edges: Vec<(u32, usize)>,
    /// The calls that have a column, ascending.
    columns: Vec<u32>,
}

impl UnplacedMachine {
    fn of(machine: &Machine) -> Self {
        let depth = machine.depth();
        let leads = |context: &Context, symbol: Symbol| {
            Some((has_cell(symbol)?, context.then(symbol, depth)))
        };
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
        let indices: FxHashMap<Context, usize> = contexts.iter().copied().zip(0..).collect();
        let index = |context: &Context| indices.get(context).copied().unwrap_or(0);
        let rows: Vec<UnplacedRow> = contexts
            .iter()
            .map(|context| {
                let edges: Vec<(u32, usize)> =
                    edges(context).iter().map(|(call, to)| (*call, index(to))).collect();
                let columns = edges.iter().map(|e| e.0).filter(|&c| c < CALLS).collect();
                UnplacedRow {
                    context: *context,
                    known: machine.row(context).is_some(),
                    edges,
                    columns,
                }
            })
            .collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(rows.get(at).map_or(0, |row| row.edges.len())));
        let mut signals = [0; SIGNALS];
        for (signal, at) in (0_u8..).zip(signals.iter_mut()) {
            *at = index(&start(Symbol::Signal(signal)));
        }
        let singles = machine.rows().filter_map(|(context, _)| match context.symbols() {
            [Symbol::Call(call)] => Some((*call, index(context))),
            _ => None,
        });
        UnplacedMachine {
            depth,
            order,
            exec: index(&exec),
            signals,
            alphabet: machine.alphabet().into_iter().filter_map(has_cell).collect(),
            singles: singles.collect(),
            rows,
        }
    }

    /// The columns of the three further rows, which stand for no context: the row of lost threads,
    /// which has none, the row of the alphabet, and the row of the contexts of one symbol. At depth
    /// 1 there are no such rows.
    fn further(&self) -> Vec<Vec<u32>> {
        if self.depth.context_len() == 0 {
            return Vec::new();
        }
        let columns = |calls: &mut dyn Iterator<Item = u32>| calls.filter(|&c| c < CALLS).collect();
        vec![
            Vec::new(),
            columns(&mut self.alphabet.iter().copied()),
            columns(&mut self.singles.iter().map(|single| single.0)),
        ]
    }

    /// The machine with these bases, first those of `rows`, then those of the further rows.
    fn compiled(&self, bases: Vec<State>) -> CompiledMachine {
        let state = |at: usize| bases.get(at).copied().unwrap_or(0);
        let mut cells = Cells::default();
        let mut rows: Vec<Row> = Vec::with_capacity(self.rows.len() + 1);
        for (row, &from) in self.rows.iter().zip(&bases) {
            rows.push(Row { state: from, context: row.context, known: row.known });
            for &(call, target) in &row.edges {
                cells.put(from, call, state(target));
            }
        }
        let (exec, signals) = (state(self.exec), self.signals.map(state));
        let mut entry =
            Entry { exec, lost: exec, members: 0, singles: 0, depth: self.depth, signals };
        if self.depth.context_len() > 0 {
            let further = self.rows.len();
            entry.lost = state(further);
            rows.push(Row { state: entry.lost, context: Context::EMPTY, known: false });
            entry.members = state(further + 1);
            for &call in &self.alphabet {
                cells.put(entry.members, call, 1);
            }
            entry.singles = state(further + 2);
            for &(call, target) in &self.singles {
                cells.put(entry.singles, call, state(target));
            }
        }
        CompiledMachine { entry, rows, cells: cells.near, far: cells.far, bases }
    }
}

/// The cells of one machine.
#[derive(Default)]
struct Cells {
    near: Vec<(u32, Cell)>,
    far: Vec<FarCell>,
}

impl Cells {
    fn put(&mut self, state: State, call: u32, next: State) {
        if call < CALLS {
            self.near.push((state + call, Cell { owner: state, next }));
        } else {
            self.far.push(FarCell { state, call, next });
        }
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

    /// What the kernel does at a step.
    fn edge(
        cells: &BTreeMap<u32, Cell>,
        far: &[FarCell],
        state: State,
        call: u32,
    ) -> Option<State> {
        if call >= CALLS {
            return far.iter().find(|f| (f.state, f.call) == (state, call)).map(|f| f.next);
        }
        let found = cells.get(&(state + call))?;
        (found.owner == state).then_some(found.next)
    }

    /// Every cell is an edge of its machine, and every edge that needs a cell has one; no cell is
    /// two machines'.
    fn same(machines: &[Machine], compiled: &[CompiledMachine]) {
        let mut cells = BTreeMap::new();
        for (index, cell) in compiled.iter().flat_map(|l| &l.cells) {
            assert!(cells.insert(*index, *cell).is_none(), "{index} is taken twice");
        }
        let far: Vec<FarCell> = compiled.iter().flat_map(|l| l.far.clone()).collect();
        let unique: BTreeSet<State> = compiled.iter().flat_map(|l| l.bases.clone()).collect();
        assert_eq!(unique.len(), compiled.iter().map(|l| l.bases.len()).sum::<usize>());
        for (machine, compiled) in machines.iter().zip(compiled) {
            let context =
                |state| compiled.rows.iter().find(|row| row.state == state).unwrap().context;
            for row in &compiled.rows {
                for call in (0..CALLS).chain([5000, u32::MAX]) {
                    let symbol = Symbol::Call(call);
                    let want = has_cell(symbol)
                        .and_then(|_| machine.row(&row.context))
                        .filter(|r| r.contains_key(&symbol))
                        .map(|_| row.context.then(symbol, machine.depth()));
                    let found = edge(&cells, &far, row.state, call).map(context);
                    assert_eq!(found, want, "{} · {symbol}", row.context);
                }
            }
            let exec = Context::start(Symbol::Call(nr::EXECVE), machine.depth());
            assert_eq!(context(compiled.entry.exec), exec);
            for signal in 1..=64 {
                let start = Context::start(Symbol::Signal(signal), machine.depth());
                assert_eq!(context(compiled.entry.signals[usize::from(signal)]), start);
            }
        }
    }

    fn insert(table: &mut Table, machines: &[Machine]) -> Vec<CompiledMachine> {
        table.insert(&machines.iter().collect::<Vec<_>>())
    }

    fn some() -> Vec<Machine> {
        vec![
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
                &[
                    ("execve", "brk"),
                    ("execve brk", "mmap"),
                    ("brk mmap", "read"),
                    ("@SIGHUP", "read"),
                ],
            ),
            Machine::new(Depth::PAIRS),
        ]
    }

    #[test]
    fn cells_are_the_machines_edges_and_no_others() {
        let machines = some();
        same(&machines, &insert(&mut Table::default(), &machines));
    }

    #[test]
    fn states_of_different_machines_never_meet() {
        let machines: Vec<Machine> =
            (0..50).map(|_| machine(2, &[("execve", "brk"), ("brk", "mmap read")])).collect();
        same(&machines, &insert(&mut Table::default(), &machines));
    }

    #[test]
    fn machines_come_and_go_and_those_that_stay_do_not_move() {
        let mut table = Table::default();
        let machines: Vec<Machine> = (0..10).flat_map(|_| some()).collect();
        let mut compiled = insert(&mut table, &machines);
        let length = table.cells();
        let again: Vec<(&Machine, &[State])> = machines
            .iter()
            .zip(&compiled)
            .map(|(machine, compiled)| (machine, &*compiled.bases))
            .collect();
        let mut other = Table::default();
        assert_eq!(other.insert_at(&again).unwrap(), compiled);
        assert!(other.insert_at(&again[..1]).is_none(), "the bases are taken");
        for turn in 0..100 {
            let at = turn * 7 % machines.len();
            for table in [&mut table, &mut other] {
                table.clear_rows(&compiled[at]);
            }
            let before = compiled[at].bases.clone();
            let new = table.insert(&[&machines[at]]).pop().unwrap();
            // Threads may still be in the old states.
            assert!(new.bases.iter().all(|base| !before.contains(base)));
            assert_eq!(other.insert(&[&machines[at]]), std::slice::from_ref(&new));
            compiled[at] = new;
            same(&machines, &compiled);
            for table in [&mut table, &mut other] {
                table.free(&before);
            }
        }
        assert!(table.cells() < length + 2000, "{} cells, {length} at first", table.cells());
    }

    #[test]
    fn threads_of_a_machine_go_on_in_another_ones_states() {
        let machines = [
            machine(
                2,
                &[("execve", "brk"), ("brk", "mmap read"), ("read", "write"), ("@SIGHUP", "read")],
            ),
            machine(2, &[("execve", "brk"), ("brk", "mmap"), ("@SIGHUP", "write")]),
            machine(3, &[("execve", "brk"), ("execve brk", "mmap")]),
            machine(1, &[("", "brk")]),
        ];
        let compiled = insert(&mut Table::default(), &machines);
        let state = |at: usize, context: &str| {
            let context: Context = context.parse().unwrap();
            compiled[at].rows.iter().find(|row| row.context == context).unwrap().state
        };
        let goes = |from: usize, context: &str, to: usize| {
            let all = migrations(&compiled[from], &compiled[to], &machines[to]);
            let (_, target) = all.iter().find(|(at, _)| *at == state(from, context)).unwrap();
            (target.state, target.context.to_string())
        };
        assert_eq!(goes(0, "brk", 1), (state(1, "brk"), String::new()));
        // Nothing may follow it there.
        assert_eq!(goes(0, "read", 1), (compiled[1].entry.lost, "read".into()));
        // It may be in the middle of a frame.
        assert_eq!(goes(0, "brk", 2), (compiled[2].entry.lost, "brk".into()));
        assert_eq!(goes(0, "@SIGHUP", 2), (state(2, "@SIGHUP"), String::new()));
        assert_eq!(goes(2, "execve brk", 0), (state(0, "brk"), String::new()));
        assert_eq!(goes(2, "execve brk", 3), (compiled[3].entry.lost, String::new()));
        assert_eq!(migrations(&compiled[3], &compiled[0], &machines[0]), []);
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
        let mut table = Table::default();
        let _ = table.insert(&[&large]);
        assert!(transitions > 80_000, "{transitions}");
        assert!(
            table.cells() < 2 * transitions + 2000,
            "{} cells for {transitions}",
            table.cells()
        );
    }
}
