//! Machines → maps, as they come, replace each other, and go. The maps are named, so that the test
//! object's are filled by the same code.

use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::map_list::map_list;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use crate::machine::Context;
use crate::policy::{Action, Children};
use crate::table::{CompiledMachine, Entry, MigrationTarget, Row, State};
use libbpf_rs::{MapCore, MapFlags, OpenMapMut};
use plain::Plain;
use std::mem::{offset_of, size_of};

/// The replacement of a policy that none replaces: its threads are not watched.
const NO_REPLACEMENT: u32 = types::sysfsm_marker::SYSFSM_NO_REPLACEMENT.0;

/// What a policy adds to its machine, as the kernel keeps it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EffectivePolicy {
    /// What to do on a violation.
    pub action: Action,
    /// What becomes of the policy over an exec.
    pub children: Children,
    /// Under [`Action::Log`]: the machine is to learn what is reported.
    pub complain: bool,
}

map_list! {
    /// The maps of the step: those of `bpf/maps.h`.
    pub struct StepMaps {
        /// The table.
        cells,
        /// Cells of calls without a column.
        far_cells,
        /// Policies, from 1.
        policies,
        /// Context → state.
        contexts,
        /// State → context.
        histories,
        /// Where the threads of replaced policies go on.
        migrations,
    }
}

/// A policy, as the kernel is to have it.
#[derive(Debug, Clone, Copy)]
pub struct LoadedPolicy<'a> {
    /// Its number, from 1.
    pub number: u32,
    /// Its machine, laid.
    pub compiled: &'a CompiledMachine,
    /// What it adds to that.
    pub effective: EffectivePolicy,
}

/// How many entries the maps hold, or have room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Cells of the table.
    pub cells: usize,
    /// Cells of calls without a column.
    pub far_cells: usize,
    /// Policies; their numbers are below it.
    pub policies: usize,
    /// Contexts that are found again.
    pub contexts: usize,
    /// States whose context is asked for.
    pub histories: usize,
    /// States of replaced policies.
    pub migrations: usize,
}

impl Sizes {
    /// What these policies need, where the table has so many cells.
    #[must_use]
    pub fn of<'a>(cells: usize, loaded: impl IntoIterator<Item = LoadedPolicy<'a>>) -> Self {
        let mut sizes = Sizes { cells, ..Sizes::default() };
        for one in loaded {
            sizes.policies = sizes.policies.max(one.number as usize + 1);
            sizes.far_cells += one.compiled.far.len();
            sizes.contexts += one.found_again().count();
            sizes.histories += one.followed().count();
        }
        sizes
    }

    /// What is kept for policies that come later.
    #[must_use]
    pub fn with_room(self) -> Self {
        let more = |size: usize, least: usize| size + size.max(least);
        Sizes {
            cells: more(self.cells, 1 << 15),
            far_cells: more(self.far_cells, 1 << 10),
            policies: more(self.policies, 1 << 8),
            contexts: more(self.contexts, 1 << 10),
            histories: more(self.histories, 1 << 10),
            migrations: more(self.cells, 1 << 14),
        }
    }

    /// Whether all of it has room there.
    #[must_use]
    pub fn fits(&self, room: &Sizes) -> bool {
        self.cells <= room.cells
            && self.far_cells <= room.far_cells
            && self.policies <= room.policies
            && self.contexts <= room.contexts
            && self.histories <= room.histories
            && self.migrations <= room.migrations
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

    fn push<K: Plain, V: Plain>(&mut self, key: &K, value: &V) {
        self.keys.extend_from_slice(wire::bytes(key));
        self.values.extend_from_slice(wire::bytes(value));
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

    /// Deletes the keys; those that are not there are none.
    fn delete(&self, map: &impl MapCore) -> Result<(), KernelError> {
        for key in self.keys.chunks_exact((self.keys.len() / self.count.max(1)).max(1)) {
            match map.delete(key) {
                Err(cause) if cause.kind() != libbpf_rs::ErrorKind::NotFound => {
                    return Err(KernelError::Fill { map: self.map, entries: self.count, cause });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl LoadedPolicy<'_> {
    /// The states to which a lost thread can come back by more than its last symbol, which only
    /// depths from 3 on have.
    fn found_again(&self) -> impl Iterator<Item = &Row> {
        let deep = self.compiled.entry.depth.get() > 2;
        self.compiled
            .rows
            .iter()
            .filter(move |row| deep && row.known && row.context.symbols().len() > 1)
    }

    /// The states whose context the kernel asks for: where a thread goes on after a violation,
    /// which killed or denied ones do not.
    fn followed(&self) -> impl Iterator<Item = &Row> {
        let logs = self.compiled.entry.depth.get() > 2 && self.effective.action == Action::Log;
        self.compiled.rows.iter().filter(move |row| logs && !row.context.symbols().is_empty())
    }

    fn far(&self) -> Entries {
        let mut far = Entries::new("far_cells");
        for cell in &self.compiled.far {
            far.push(&types::sysfsm_far { state: cell.state, nr: cell.call }, &cell.next);
        }
        far
    }

    fn contexts(&self) -> Entries {
        let mut contexts = Entries::new("contexts");
        for row in self.found_again() {
            let key = types::sysfsm_context { policy: self.number, history: history(&row.context) };
            contexts.push(&key, &row.state);
        }
        contexts
    }

    fn histories(&self) -> Entries {
        let mut histories = Entries::new("histories");
        for row in self.followed() {
            histories.push(&row.state, &history(&row.context));
        }
        histories
    }
}

/// Gives the maps their sizes. Before the object is loaded.
///
/// # Errors
/// libbpf refuses a size.
pub fn resize(maps: &mut StepMaps<&mut OpenMapMut<'_>>, sizes: &Sizes) -> Result<(), KernelError> {
    let set = |map: &mut OpenMapMut<'_>, name: &'static str, entries: usize| {
        map.set_max_entries(u32::try_from(entries.max(1)).unwrap_or(u32::MAX))
            .map_err(|cause| KernelError::Fill { map: name, entries, cause })
    };
    set(maps.cells, "cells", sizes.cells)?;
    set(maps.far_cells, "far_cells", sizes.far_cells)?;
    set(maps.policies, "policies", sizes.policies)?;
    set(maps.contexts, "contexts", sizes.contexts)?;
    set(maps.histories, "histories", sizes.histories)?;
    set(maps.migrations, "migrations", sizes.migrations)
}

/// What the maps of a loaded object have room for.
pub(crate) fn room<M: MapCore>(maps: &StepMaps<M>) -> Sizes {
    let entries = |map: &M| map.max_entries() as usize;
    Sizes {
        cells: entries(&maps.cells),
        far_cells: entries(&maps.far_cells),
        policies: entries(&maps.policies),
        contexts: entries(&maps.contexts),
        histories: entries(&maps.histories),
        migrations: entries(&maps.migrations),
    }
}

/// A context as the kernel keeps it.
fn history(context: &Context) -> types::sysfsm_history {
    let mut history = types::sysfsm_history::default();
    for (slot, symbol) in history.symbols.iter_mut().zip(context.symbols()) {
        *slot = symbol.to_code();
        history.len += 1;
    }
    history
}

/// The arrays that this process has in its memory. What is written there takes no call of the
/// kernel's, and cannot fail.
#[derive(Debug)]
pub struct Tables {
    cells: Mapped<types::sysfsm_cell>,
    policies: Mapped<types::sysfsm_policy>,
}

impl Tables {
    /// Those of a loaded object.
    ///
    /// # Errors
    /// They cannot be mapped.
    pub fn of<M: MapCore>(maps: &StepMaps<M>) -> Result<Self, KernelError> {
        Ok(Tables {
            cells: Mapped::entries(&maps.cells, "cells")?,
            policies: Mapped::entries(&maps.policies, "policies")?,
        })
    }

    /// Writes a policy, which does not hold yet. No thread is in its states before one is bound to
    /// it.
    fn place(&self, one: &LoadedPolicy<'_>) {
        for (index, cell) in &one.compiled.cells {
            self.cells
                .put(*index as usize, types::sysfsm_cell { owner: cell.owner, next: cell.next });
        }
        self.policies.put(one.number as usize, policy(&one.compiled.entry, one.effective));
    }

    /// From now on a policy holds, for whoever execs its binary.
    pub fn hold(&self, number: u32) {
        self.set_replacement(number, 0);
    }

    /// From now on another one holds in its place, or none: for whoever execs, and for its threads
    /// when its rows are taken away.
    pub fn replace(&self, number: u32, replacement: Option<u32>) {
        self.set_replacement(number, replacement.unwrap_or(NO_REPLACEMENT));
    }

    /// Takes a policy's rows away: its threads have a replacement.
    pub fn clear_rows(&self, compiled: &CompiledMachine) {
        for (index, _) in &compiled.cells {
            let owner = *index as usize * size_of::<types::sysfsm_cell>();
            self.cells.store(owner + offset_of!(types::sysfsm_cell, owner), 0_u32);
        }
    }

    fn set_replacement(&self, number: u32, replacement: u32) {
        let policy = number as usize * size_of::<types::sysfsm_policy>();
        self.policies.store(policy + offset_of!(types::sysfsm_policy, replacement), replacement);
    }
}

/// Writes policies into the maps of a loaded object. They do not hold yet ([`Tables::hold`]).
///
/// # Errors
/// A map does not take its entries.
pub fn add<M: MapCore>(
    maps: &StepMaps<M>,
    tables: &Tables,
    loaded: &[LoadedPolicy<'_>],
) -> Result<(), KernelError> {
    let mut all = [Entries::new("far_cells"), Entries::new("contexts"), Entries::new("histories")];
    for one in loaded {
        tables.place(one);
        for (all, more) in all.iter_mut().zip([one.far(), one.contexts(), one.histories()]) {
            all.keys.extend(more.keys);
            all.values.extend(more.values);
            all.count += more.count;
        }
    }
    for (entries, map) in all.iter().zip([&maps.far_cells, &maps.contexts, &maps.histories]) {
        entries.write(map)?;
    }
    Ok(())
}

/// Writes where the threads of a policy go on in the one that is to replace it.
///
/// # Errors
/// The map does not take its entries.
pub fn add_migrations<M: MapCore>(
    maps: &StepMaps<M>,
    replacement: u32,
    migrations: &[(State, MigrationTarget)],
) -> Result<(), KernelError> {
    let mut entries = Entries::new("migrations");
    for (state, target) in migrations {
        let key = types::sysfsm_migration_key { policy: replacement, state: *state };
        entries.push(
            &key,
            &types::sysfsm_migration_target {
                state: target.state,
                history: history(&target.context),
            },
        );
    }
    entries.write(&maps.migrations)
}

/// Forgets what a policy without rows has besides them.
///
/// # Errors
/// A map cannot be changed.
pub fn forget<M: MapCore>(maps: &StepMaps<M>, gone: &LoadedPolicy<'_>) -> Result<(), KernelError> {
    gone.far().delete(&maps.far_cells)?;
    gone.contexts().delete(&maps.contexts)?;
    gone.histories().delete(&maps.histories)
}

/// Forgets where a policy's threads went on.
///
/// # Errors
/// The map cannot be changed.
pub fn forget_migrations<M: MapCore>(
    maps: &StepMaps<M>,
    from: &CompiledMachine,
    replacement: u32,
) -> Result<(), KernelError> {
    let mut entries = Entries::new("migrations");
    for row in &from.rows {
        entries
            .push(&types::sysfsm_migration_key { policy: replacement, state: row.state }, &0_u32);
    }
    entries.delete(&maps.migrations)
}

fn policy(entry: &Entry, effective: EffectivePolicy) -> types::sysfsm_policy {
    types::sysfsm_policy {
        exec: entry.exec,
        lost: entry.lost,
        members: entry.members,
        singles: entry.singles,
        depth: u32::from(entry.depth.get()),
        action: match effective.action {
            Action::Kill => types::sysfsm_action::SYSFSM_KILL,
            Action::Log if effective.complain => types::sysfsm_action::SYSFSM_COMPLAIN,
            Action::Log => types::sysfsm_action::SYSFSM_LOG,
            Action::Deny => types::sysfsm_action::SYSFSM_DENY,
        }
        .0,
        inherit: u32::from(effective.children == Children::Inherit),
        replacement: NO_REPLACEMENT,
        signals: entry.signals,
        padding: 0,
    }
}
