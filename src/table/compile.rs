//! From a machine to its rows in the table, and from the states of one machine to those of another.

use crate::machine::{self, Context, Depth, Judge, Machine};
use crate::parallel;
use crate::syscall::{nr, Symbol};
use crate::table::cell::{Cell, State, CALLS, SIGNALS};
use crate::table::comb::Comb;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// What the kernel has to know of a machine besides its cells (`struct sysfsm_policy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The state after an exec.
    pub exec: State,
    /// The state of a thread whose past is unknown. At depth 1 this is the only state.
    pub lost: State,
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

/// A state of the table, and the state of the machine that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The state of the table.
    pub state: State,
    /// What it stands for: a context, or what a lost frame knows of its context.
    pub of: machine::State,
    /// Whether the machine has transitions from it. Only then a thread goes on there after a
    /// violation.
    pub known: bool,
}

impl Row {
    /// The context that a violation in this state reports: of a lost frame the empty one.
    #[must_use]
    pub fn context(&self) -> Context {
        match self.of {
            machine::State::In(context) => context,
            machine::State::Lost(_) => Context::EMPTY,
        }
    }
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
        let unplaced: Vec<UnplacedMachine> = parallel::map(machines.to_vec(), UnplacedMachine::of);
        unplaced.iter().map(|unplaced| self.insert_one(unplaced)).collect()
    }

    /// Inserts machines where they were before, each at its [`CompiledMachine::bases`]. Returns
    /// `None` if the bases cannot be those of the machines, or are taken; what was inserted until
    /// then stays.
    #[must_use]
    pub fn insert_at(&mut self, machines: &[(&Machine, &[State])]) -> Option<Vec<CompiledMachine>> {
        let unplaced: Vec<UnplacedMachine> =
            parallel::map(machines.to_vec(), |(machine, _)| UnplacedMachine::of(machine));
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
        unplaced.compiled(bases)
    }

    fn insert_one_at(
        &mut self,
        unplaced: &UnplacedMachine,
        bases: &[State],
    ) -> Option<CompiledMachine> {
        let mut rows = unplaced.rows.iter().zip(bases);
        let fits = unplaced.rows.len() == bases.len()
            && rows.all(|(row, &base)| self.comb.insert_at(base, &row.columns));
        fits.then(|| unplaced.compiled(bases.to_vec()))
    }
}

/// Of every state of a machine, the state in which its threads go on under the machine that has
/// replaced it ([`Judge::migrated`]). States that are not listed go on in [`Entry::lost`].
#[must_use]
pub fn migrations(
    from: &CompiledMachine,
    to: &CompiledMachine,
    machine: &Machine,
) -> Vec<(State, State)> {
    let judge = Judge::new(machine);
    let states: FxHashMap<machine::State, State> =
        to.rows.iter().map(|row| (row.of, row.state)).collect();
    let target = |row: &Row| states.get(&judge.migrated(row.of, from.entry.depth)).copied();
    from.rows
        .iter()
        .filter_map(|row| Some((row.state, target(row)?)))
        .filter(|(_, target)| *target != to.entry.lost)
        .collect()
}

fn has_cell(symbol: Symbol) -> Option<u32> {
    match symbol {
        Symbol::Call(nr::RT_SIGRETURN | nr::EXIT | nr::EXIT_GROUP) | Symbol::Signal(_) => None,
        Symbol::Call(number) if nr::is_kernels(number) => None,
        Symbol::Call(number) => Some(number),
    }
}

/// A machine's rows before they have bases: a state is an index into `rows`.
struct UnplacedMachine {
    depth: Depth,
    /// Every state that the machine can be in, ascending: its contexts, where its edges lead, where
    /// frames begin, and what lost frames know of their contexts. A state without transitions is a
    /// state all the same: nothing is allowed in it.
    rows: Vec<UnplacedRow>,
    /// In which order the rows are inserted: large ones first, which are hard to fit.
    order: Vec<usize>,
    exec: usize,
    lost: usize,
    signals: [usize; SIGNALS],
}

/// A row that has no base yet.
struct UnplacedRow {
    of: machine::State,
    known: bool,
    /// Calls, ascending, and where they lead.
    edges: Vec<(u32, usize)>,
    /// The calls of the edges that have a column.
    columns: Vec<u32>,
}

impl UnplacedMachine {
    fn of(machine: &Machine) -> Self {
        use machine::State::{In, Lost};
        let depth = machine.depth();
        let whole = depth.context_len();
        // Where calls lead from each state that has transitions.
        let mut edges: BTreeMap<machine::State, Vec<(u32, machine::State)>> = BTreeMap::new();
        for (&context, row) in machine.rows() {
            let leads = row
                .keys()
                .filter_map(|&symbol| Some((has_cell(symbol)?, In(context.then(symbol, depth)))));
            edges.insert(In(context), leads.collect());
        }
        for (seen, row) in machine.partial_contexts() {
            let leads = row.into_iter().filter_map(|symbol| {
                let context = seen.then(symbol, depth);
                let is_whole = context.symbols().len() == whole;
                Some((has_cell(symbol)?, if is_whole { In(context) } else { Lost(context) }))
            });
            edges.insert(Lost(seen), leads.collect());
        }
        let start = |first: Symbol| In(Context::start(first, depth));
        let exec = start(Symbol::Call(nr::EXECVE));
        let lost = if whole == 0 { exec } else { Lost(Context::EMPTY) };
        let signals = (0_u8..).take(SIGNALS).map(Symbol::Signal);
        let mut states: Vec<machine::State> = signals.map(start).chain([exec, lost]).collect();
        for (state, leads) in &edges {
            states.push(*state);
            states.extend(leads.iter().map(|(_, to)| *to));
        }
        states.sort_unstable();
        states.dedup();
        let indices: FxHashMap<machine::State, usize> = states.iter().copied().zip(0..).collect();
        let index = |state: &machine::State| indices.get(state).copied().unwrap_or(0);
        let rows: Vec<UnplacedRow> = states
            .iter()
            .map(|state| {
                let leads = edges.get(state);
                let edges: Vec<(u32, usize)> =
                    leads.into_iter().flatten().map(|(call, to)| (*call, index(to))).collect();
                let columns = edges.iter().map(|e| e.0).filter(|&c| c < CALLS).collect();
                UnplacedRow { of: *state, known: leads.is_some(), edges, columns }
            })
            .collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(rows.get(at).map_or(0, |row| row.edges.len())));
        let mut signals = [0; SIGNALS];
        for (signal, at) in (0_u8..).zip(signals.iter_mut()) {
            *at = index(&start(Symbol::Signal(signal)));
        }
        UnplacedMachine { depth, order, exec: index(&exec), lost: index(&lost), signals, rows }
    }

    /// The machine, with its rows at these bases.
    fn compiled(&self, bases: Vec<State>) -> CompiledMachine {
        let state = |at: usize| bases.get(at).copied().unwrap_or(0);
        let mut cells = Cells::default();
        let mut rows: Vec<Row> = Vec::with_capacity(self.rows.len());
        for (row, &from) in self.rows.iter().zip(&bases) {
            rows.push(Row { state: from, of: row.of, known: row.known });
            for &(call, target) in &row.edges {
                cells.put(from, call, state(target));
            }
        }
        let entry = Entry {
            exec: state(self.exec),
            lost: state(self.lost),
            depth: self.depth,
            signals: self.signals.map(state),
        };
        CompiledMachine { entry, rows, cells: cells.near, far: cells.far, bases }
    }
}

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
            let of = |state| compiled.rows.iter().find(|row| row.state == state).unwrap().of;
            let judge = Judge::new(machine);
            for row in &compiled.rows {
                for call in (0..CALLS).chain([5000, u32::MAX]) {
                    let want = has_cell(Symbol::Call(call)).and_then(|_| judge.next(row.of, call));
                    let found = edge(&cells, &far, row.state, call).map(of);
                    assert_eq!(found, want, "{:?} · {call}", row.of);
                }
            }
            let exec = Context::start(Symbol::Call(nr::EXECVE), machine.depth());
            assert_eq!(of(compiled.entry.exec), machine::State::In(exec));
            assert_eq!(of(compiled.entry.lost), judge.unknown());
            for signal in 1..=64 {
                let start = Context::start(Symbol::Signal(signal), machine.depth());
                let state = compiled.entry.signals[usize::from(signal)];
                assert_eq!(of(state), machine::State::In(start));
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
        let at = |at: usize, of: machine::State| {
            compiled[at].rows.iter().find(|row| row.of == of).unwrap().state
        };
        let state =
            |table: usize, context: &str| at(table, machine::State::In(context.parse().unwrap()));
        let goes = |from: usize, context: &str, to: usize| {
            let all = migrations(&compiled[from], &compiled[to], &machines[to]);
            let target = all.iter().find(|(at, _)| *at == state(from, context));
            target.map_or(compiled[to].entry.lost, |(_, target)| *target)
        };
        assert_eq!(goes(0, "brk", 1), state(1, "brk"));
        // Nothing may follow it there.
        assert_eq!(goes(0, "read", 1), compiled[1].entry.lost);
        // It may be in the middle of a frame.
        let brk = machine::State::Lost("brk".parse().unwrap());
        assert_eq!(goes(0, "brk", 2), at(2, brk));
        assert_eq!(goes(0, "@SIGHUP", 2), state(2, "@SIGHUP"));
        assert_eq!(goes(2, "execve brk", 0), state(0, "brk"));
        assert_eq!(goes(2, "execve brk", 3), compiled[3].entry.lost);
        assert_eq!(migrations(&compiled[3], &compiled[0], &machines[0]), []);
    }

    #[test]
    fn cells_are_about_as_many_as_the_transitions_of_all_states() {
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
        let partial = large.partial_contexts();
        let transitions = large.transitions() + partial.values().map(BTreeSet::len).sum::<usize>();
        let mut table = Table::default();
        let _ = table.insert(&[&large]);
        assert!(large.transitions() > 80_000, "{}", large.transitions());
        assert!(
            table.cells() < 2 * transitions + 2000,
            "{} cells for {transitions}",
            table.cells()
        );
    }
}
