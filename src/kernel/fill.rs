//! Tables → maps. The maps are named, so that the test object's are filled by the same code.

use super::skeleton::types;
use super::{array, KernelError};
use crate::machine::Context;
use crate::policy::{Action, Children};
use crate::syscall::Symbol;
use crate::table::{Entry, Row, Tables, CALLS, SIGNALS};
use libbpf_rs::{MapCore, MapFlags, OpenMapMut};
use plain::Plain;

// The layouts that the two sides agree on, besides the sizes that bpf/sysfsm.h asserts.
const _: () = assert!(SIGNALS == 65 && CALLS == 1024 && crate::machine::MAX_FRAMES == 16);

/// What a policy adds to its machine, as the kernel keeps it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// What to do on a violation.
    pub action: Action,
    /// What becomes of the policy over an exec.
    pub children: Children,
    /// Under [`Action::Log`]: the machine is to learn what is reported.
    pub learn: bool,
}

/// The maps of the step, by the names of `bpf/maps.h`.
pub struct StepMaps<M> {
    /// The table.
    pub cells: M,
    /// Cells of calls without a column.
    pub far_cells: M,
    /// Policies, from 1.
    pub policies: M,
    /// Context → state.
    pub contexts: M,
    /// State → context.
    pub histories: M,
}

/// A history's code for a symbol (`struct sysfsm_history`).
fn code(symbol: Symbol) -> u32 {
    match symbol {
        Symbol::Call(number) => number,
        Symbol::Signal(number) => 0x4000_0000 + u32::from(number),
    }
}

/// The symbol of such a code.
pub(super) fn symbol(code: u32) -> Symbol {
    // No 64-bit call has a number with bit 30 set, but one below zero has any.
    match code.checked_sub(0x4000_0000).map(u8::try_from) {
        Some(Ok(signal)) => Symbol::Signal(signal),
        _ => Symbol::Call(code),
    }
}

/// Keys and values, ready for a map.
struct Entries {
    map: &'static str,
    keys: Vec<u8>,
    values: Vec<u8>,
    count: usize,
}

impl Entries {
    fn new(map: &'static str) -> Self {
        Entries { map, keys: Vec::new(), values: Vec::new(), count: 0 }
    }

    fn push<V: Plain>(&mut self, key: &[u8], value: &V) {
        self.keys.extend_from_slice(key);
        // SAFETY: `Plain` promises that the value is plain bytes without hidden padding.
        self.values.extend_from_slice(unsafe { plain::as_bytes(value) });
        self.count += 1;
    }

    fn write(&self, map: &impl MapCore) -> Result<(), KernelError> {
        if self.count == 0 {
            return Ok(());
        }
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        map.update_batch(&self.keys, &self.values, count, MapFlags::ANY, MapFlags::ANY)
            .map_err(|cause| KernelError::Fill { map: self.map, entries: self.count, cause })
    }
}

/// Gives the maps the sizes that the tables need. Before the object is loaded.
///
/// # Errors
/// libbpf refuses a size.
pub fn resize(
    maps: &mut StepMaps<&mut OpenMapMut<'_>>,
    tables: &Tables,
    terms: &[Terms],
) -> Result<(), KernelError> {
    let count = |wanted: fn(&Tables, &[Terms], &Row) -> bool| {
        tables.rows.iter().filter(|row| wanted(tables, terms, row)).count()
    };
    let set = |map: &mut OpenMapMut<'_>, name: &'static str, entries: usize| {
        map.set_max_entries(u32::try_from(entries.max(1)).unwrap_or(u32::MAX))
            .map_err(|cause| KernelError::Fill { map: name, entries, cause })
    };
    set(maps.cells, "cells", tables.cells.len())?;
    set(maps.far_cells, "far_cells", tables.far.len())?;
    set(maps.policies, "policies", tables.entries.len() + 1)?;
    set(maps.contexts, "contexts", count(found_again))?;
    set(maps.histories, "histories", count(followed))
}

/// Whether a state's context is one to which a lost thread can come back by more than its last symbol, which only
/// depths from 3 on have.
fn found_again(tables: &Tables, _: &[Terms], row: &Row) -> bool {
    let depth = tables.entries.get(row.machine).map_or(1, |e| e.depth.get());
    depth > 2 && row.known && row.context.symbols().len() > 1
}

/// Whether the kernel asks for a state's context: where a thread goes on after a violation, which killed or denied
/// ones do not.
fn followed(tables: &Tables, terms: &[Terms], row: &Row) -> bool {
    let depth = tables.entries.get(row.machine).map_or(1, |e| e.depth.get());
    let logs = terms.get(row.machine).is_some_and(|t| t.action == Action::Log);
    depth > 2 && logs && !row.context.symbols().is_empty()
}

/// A context as the kernel keeps it.
fn history(context: &Context) -> types::sysfsm_history {
    let mut history = types::sysfsm_history::default();
    for (slot, symbol) in history.symbols.iter_mut().zip(context.symbols()) {
        *slot = code(*symbol);
        history.len += 1;
    }
    history
}

/// Writes the tables into the maps of a loaded object.
///
/// # Errors
/// A map does not take its entries.
pub fn fill<M: MapCore>(maps: &StepMaps<&M>, tables: &Tables, terms: &[Terms]) -> Result<(), KernelError> {
    let cells = tables.cells.iter().map(|c| types::sysfsm_cell { owner: c.owner, next: c.next });
    array::write(maps.cells, "cells", cells)?;

    let mut far = Entries::new("far_cells");
    for cell in &tables.far {
        let key = types::sysfsm_far { state: cell.state, nr: cell.call };
        // SAFETY: as in `push`.
        far.push(unsafe { plain::as_bytes(&key) }, &cell.next);
    }
    far.write(maps.far_cells)?;

    let mut contexts = Entries::new("contexts");
    for row in tables.rows.iter().filter(|row| found_again(tables, terms, row)) {
        let key = types::sysfsm_context { policy: index_of(row.machine), history: history(&row.context) };
        // SAFETY: as in `push`.
        contexts.push(unsafe { plain::as_bytes(&key) }, &row.state);
    }
    contexts.write(maps.contexts)?;

    let mut histories = Entries::new("histories");
    for row in tables.rows.iter().filter(|row| followed(tables, terms, row)) {
        histories.push(&row.state.to_ne_bytes(), &history(&row.context));
    }
    histories.write(maps.histories)?;

    let mut policies = Entries::new("policies");
    for (machine, (entry, terms)) in tables.entries.iter().zip(terms).enumerate() {
        policies.push(&index_of(machine).to_ne_bytes(), &policy(entry, *terms));
    }
    policies.write(maps.policies)
}

/// A policy's index in the kernel: 0 there is none.
pub(super) fn index_of(machine: usize) -> u32 {
    u32::try_from(machine + 1).unwrap_or(0)
}

fn policy(entry: &Entry, terms: Terms) -> types::sysfsm_policy {
    types::sysfsm_policy {
        exec: entry.exec,
        lost: entry.lost,
        members: entry.members,
        singles: entry.singles,
        depth: u32::from(entry.depth.get()),
        action: match terms.action {
            Action::Kill => 0,
            Action::Log if terms.learn => 3,
            Action::Log => 1,
            Action::Deny => 2,
        },
        inherit: u32::from(terms.children == Children::Inherit),
        signals: entry.signals,
    }
}
