//! The maps of the step: policies come, replace each other, and go. The maps are generic, so that a
//! test fills those of its own BPF object by the same code.

use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::entries::{set_room, Batch};
use crate::kernel::bpf::map_list::map_list;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::policies::loaded_policy::{LoadedPolicy, NO_REPLACEMENT};
use crate::kernel::policies::sizes::Sizes;
use crate::table::{CompiledMachine, State};
use libbpf_rs::{MapCore, OpenMapMut};
use std::mem::{offset_of, size_of};

map_list! {
    ($)
    /// The maps of the step (`bpf/maps.h`).
    pub struct StepMaps via borrow_step_maps {
        /// The array of cells: the rows of all machines.
        cells,
        /// Cells of calls that have no column.
        far_cells,
        /// The policies, by their numbers, which begin at 1.
        policies,
        /// Policy and context → state.
        contexts,
        /// State → context.
        histories,
        /// State of a policy that is being replaced → state of its replacement.
        migrations,
    }
}

/// Gives the maps their sizes. The object must not be loaded yet.
///
/// # Errors
/// libbpf refuses a size.
pub fn resize(maps: &mut StepMaps<&mut OpenMapMut<'_>>, sizes: &Sizes) -> Result<(), KernelError> {
    set_room(maps.cells, "cells", sizes.cells)?;
    set_room(maps.far_cells, "far_cells", sizes.far_cells)?;
    set_room(maps.policies, "policies", sizes.policies)?;
    set_room(maps.contexts, "contexts", sizes.contexts)?;
    set_room(maps.histories, "histories", sizes.histories)?;
    set_room(maps.migrations, "migrations", sizes.migrations)
}

/// How many entries the maps of a loaded object have room for.
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

/// The arrays that are mapped into this process. Writing there takes no system call, and cannot
/// fail.
#[derive(Debug)]
pub struct Tables {
    cells: Mapped<types::sysfsm_cell>,
    policies: Mapped<types::sysfsm_policy>,
}

impl Tables {
    /// Maps the arrays of a loaded object.
    ///
    /// # Errors
    /// An array cannot be mapped.
    pub fn of<M: MapCore>(maps: &StepMaps<M>) -> Result<Self, KernelError> {
        Ok(Tables {
            cells: Mapped::entries(&maps.cells, "cells")?,
            policies: Mapped::entries(&maps.policies, "policies")?,
        })
    }

    /// Writes a policy that is not active yet ([`Tables::activate`]): no exec comes under it, so
    /// that no thread is in its states.
    fn write(&self, one: &LoadedPolicy<'_>) {
        for (index, cell) in &one.compiled.cells {
            self.cells
                .put(*index as usize, types::sysfsm_cell { owner: cell.owner, next: cell.next });
        }
        self.policies.put(one.number as usize, one.policy());
    }

    /// Makes a policy active: from now on an exec of its binary comes under it.
    pub fn activate(&self, number: u32) {
        self.set_replacement(number, 0);
    }

    /// Replaces a policy by another one, or by none. It is at once for execs. The threads of the
    /// policy move when they miss its rows ([`Tables::clear_rows`]).
    pub fn replace(&self, number: u32, replacement: Option<u32>) {
        self.set_replacement(number, replacement.unwrap_or(NO_REPLACEMENT));
    }

    /// Clears a policy's rows. The policy must have been replaced ([`Tables::replace`]), so that
    /// its threads find where they go on.
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

/// Writes policies into the maps of a loaded object. They are not active yet
/// ([`Tables::activate`]).
///
/// # Errors
/// A map does not take its entries.
pub fn add<M: MapCore>(
    maps: &StepMaps<M>,
    tables: &Tables,
    loaded: &[LoadedPolicy<'_>],
) -> Result<(), KernelError> {
    let mut all = [Batch::new("far_cells"), Batch::new("contexts"), Batch::new("histories")];
    for one in loaded {
        tables.write(one);
        for (all, more) in all.iter_mut().zip([one.far(), one.contexts(), one.histories()]) {
            all.extend(more);
        }
    }
    for (entries, map) in all.iter().zip([&maps.far_cells, &maps.contexts, &maps.histories]) {
        entries.write(map)?;
    }
    Ok(())
}

/// Writes where the threads of a policy go on in its replacement: `migrations` has the states of
/// the policy that is being replaced.
///
/// # Errors
/// The map does not take its entries.
pub fn add_migrations<M: MapCore>(
    maps: &StepMaps<M>,
    replacement: u32,
    migrations: &[(State, State)],
) -> Result<(), KernelError> {
    let mut entries = Batch::new("migrations");
    for (state, target) in migrations {
        let key = types::sysfsm_migration_key { policy: replacement, state: *state };
        entries.push(&key, target);
    }
    entries.write(&maps.migrations)
}

/// Deletes the entries of a policy whose rows were cleared.
///
/// # Errors
/// A map cannot be changed.
pub fn forget<M: MapCore>(maps: &StepMaps<M>, gone: &LoadedPolicy<'_>) -> Result<(), KernelError> {
    gone.far().delete(&maps.far_cells)?;
    gone.contexts().delete(&maps.contexts)?;
    gone.histories().delete(&maps.histories)
}

/// Deletes where the threads of the machine `from` went on in a replacement.
///
/// # Errors
/// The map cannot be changed.
pub fn forget_migrations<M: MapCore>(
    maps: &StepMaps<M>,
    from: &CompiledMachine,
    replacement: u32,
) -> Result<(), KernelError> {
    let mut entries = Batch::new("migrations");
    for row in &from.rows {
        entries
            .push(&types::sysfsm_migration_key { policy: replacement, state: row.state }, &0_u32);
    }
    entries.delete(&maps.migrations)
}
