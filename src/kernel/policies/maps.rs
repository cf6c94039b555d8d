//! The maps by which policies are changed while they are enforced, whoever has loaded them.

use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::bpffs::PinDirectory;
use crate::kernel::bpf::entries;
use crate::kernel::bpf::skeleton::{types, EnforceSkel};
use crate::kernel::error::KernelError;
use crate::kernel::identity::maps::{self as bind, Bound, IdentityMaps};
use crate::kernel::policies::fill::{self, LoadedPolicy, StepMaps, Tables};
use crate::kernel::policies::policy_set::{Change, PolicySet};
use crate::kernel::policies::selection::SelectMaps;
use libbpf_rs::MapHandle;
use std::mem::offset_of;
use std::os::fd::AsFd as _;

/// Those maps.
pub(crate) struct Maps {
    pub step: StepMaps<MapHandle>,
    tables: Tables,
    pub identity: IdentityMaps<MapHandle>,
    pub select: SelectMaps<MapHandle>,
    pub adoptees: MapHandle,
    pub counters: MapHandle,
    pub data: Mapped<types::bss>,
    /// The same, as a map.
    data_map: MapHandle,
}

impl Maps {
    /// Those that `get` finds by their names.
    fn get(
        get: impl Fn(&'static str) -> Result<MapHandle, KernelError>,
    ) -> Result<Self, KernelError> {
        let data_map = get("data")?;
        let step = StepMaps {
            cells: get("cells")?,
            far_cells: get("far_cells")?,
            policies: get("policies")?,
            contexts: get("contexts")?,
            histories: get("histories")?,
            arrivals: get("arrivals")?,
        };
        Ok(Maps {
            tables: Tables::of(&step)?,
            step,
            identity: IdentityMaps {
                binaries: get("binaries")?,
                paths: get("paths")?,
                names: get("names")?,
            },
            select: SelectMaps { cgroups: get("cgroups")?, selected: get("selected")? },
            adoptees: get("adoptees")?,
            counters: get("counters")?,
            data: Mapped::whole(&data_map, "data")?,
            data_map,
        })
    }

    /// Those of a loaded object.
    pub(crate) fn of(skel: &EnforceSkel<'_>) -> Result<Self, KernelError> {
        let maps = &skel.maps;
        Maps::get(|name| {
            let map = match name {
                "data" => &maps.bss,
                "cells" => &maps.cells,
                "far_cells" => &maps.far_cells,
                "policies" => &maps.policies,
                "contexts" => &maps.contexts,
                "histories" => &maps.histories,
                "arrivals" => &maps.arrivals,
                "binaries" => &maps.binaries,
                "paths" => &maps.paths,
                "names" => &maps.names,
                "cgroups" => &maps.cgroups,
                "selected" => &maps.selected,
                "adoptees" => &maps.adoptees,
                _ => &maps.counters,
            };
            MapHandle::try_from(map).map_err(|cause| KernelError::Read { map: name, cause })
        })
    }

    /// Those of a pinned set.
    pub(crate) fn pinned(directory: &PinDirectory) -> Result<Self, KernelError> {
        Maps::get(|name| directory.map(name))
    }

    /// Pins them.
    pub(crate) fn pin(&self, directory: &PinDirectory) -> Result<(), KernelError> {
        for (name, map) in [
            ("data", &self.data_map),
            ("cells", &self.step.cells),
            ("far_cells", &self.step.far_cells),
            ("policies", &self.step.policies),
            ("contexts", &self.step.contexts),
            ("histories", &self.step.histories),
            ("arrivals", &self.step.arrivals),
            ("binaries", &self.identity.binaries),
            ("paths", &self.identity.paths),
            ("names", &self.identity.names),
            ("cgroups", &self.select.cgroups),
            ("selected", &self.select.selected),
            ("adoptees", &self.adoptees),
            ("counters", &self.counters),
        ] {
            directory.pin(name, map.as_fd())?;
        }
        Ok(())
    }

    /// Fills what is empty.
    pub(crate) fn fill(&self, policy_set: &PolicySet, bound: &Bound) -> Result<(), KernelError> {
        let loaded: Vec<_> = policy_set.all().collect();
        fill::add(&self.step, &self.tables, &loaded)?;
        for one in &loaded {
            self.tables.hold(one.number);
        }
        let (cgroups, selected) = policy_set.selection();
        entries::fill(&self.select.selected, "selected", &selected)?;
        entries::fill(&self.select.cgroups, "cgroups", &cgroups)?;
        self.say_what_is_used(policy_set, bound);
        bind::fill_all(&self.identity, bound)
    }

    /// Whether the kernel knows binaries by this already.
    pub(crate) fn holds(&self, bound: &Bound) -> Result<bool, KernelError> {
        Ok(Bound::read(&self.identity)? == *bound)
    }

    /// Adds what the next set of policies needs besides. Nobody is judged by it yet, and nothing is
    /// taken away.
    pub(crate) fn prepare(
        &self,
        next: &PolicySet,
        change: &Change,
        bound: &Bound,
    ) -> Result<(), KernelError> {
        let loaded: Vec<_> =
            change.added.iter().filter_map(|number| next.loaded(*number)).collect();
        fill::add(&self.step, &self.tables, &loaded)?;
        for (draining, successor) in next.successions(change) {
            if let Some(successor) = successor {
                fill::add_arrivals(&self.step, successor, &next.arrivals(draining, successor))?;
            }
        }
        self.say_what_is_used(next, bound);
        let (cgroups, selected) = next.selection();
        entries::add(&self.select.selected, "selected", &selected)?;
        entries::add(&self.select.cgroups, "cgroups", &cgroups)?;
        bind::add_all(&self.identity, bound)
    }

    /// Has the next set of policies take the place of the one before, which cannot fail. Threads
    /// are judged by the one or by the other at any moment: an exec by what holds then; a thread by
    /// its policy's rows for as long as they are there, and when it misses one it moves.
    pub(crate) fn commit(&self, next: &PolicySet, change: &Change) {
        change.added.iter().for_each(|number| self.tables.hold(*number));
        for (draining, successor) in next.successions(change) {
            self.tables.succeed(draining, successor);
        }
        for one in removed(next, change) {
            self.tables.clear_rows(one.compiled);
        }
    }

    /// Takes away what the set of policies before had besides.
    pub(crate) fn clear(
        &self,
        next: &PolicySet,
        change: &Change,
        bound: &Bound,
    ) -> Result<(), KernelError> {
        let (cgroups, selected) = next.selection();
        entries::sync(&self.select.selected, "selected", &selected)?;
        entries::sync(&self.select.cgroups, "cgroups", &cgroups)?;
        bind::update(&self.identity, bound)?;
        grace();
        // Whoever was inside of a program has left it: nobody reads these any more.
        for one in removed(next, change) {
            fill::forget(&self.step, &one)?;
        }
        next.stale(change).try_for_each(|(compiled, successor)| {
            fill::forget_arrivals(&self.step, compiled, successor)
        })
    }

    /// Before the entries that are meant are there.
    fn say_what_is_used(&self, policy_set: &PolicySet, bound: &Bound) {
        // Once set it stays: another exec may be looking just now.
        if !bound.names.is_empty() {
            self.data.store(offset_of!(types::bss, names_used), 1_u8);
        }
        if policy_set.uses_cgroups() {
            self.data.store(offset_of!(types::bss, cgroups_used), 1_u8);
        }
    }
}

/// The policies that have gone.
fn removed<'a>(next: &'a PolicySet, change: &'a Change) -> impl Iterator<Item = LoadedPolicy<'a>> {
    change.removed.iter().filter_map(|number| next.loaded(*number))
}

/// Waits until every program that runs now has ended: tracepoints' programs are read-side critical
/// sections, for the end of which the kernel waits here (`membarrier_global`,
/// kernel/sched/membarrier.c: `synchronize_rcu`).
fn grace() {
    const MEMBARRIER_CMD_GLOBAL: i64 = 1;
    // SAFETY: membarrier(2) takes integers, and touches no memory of ours.
    let result =
        unsafe { nix::libc::syscall(nix::libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        // Where CPUs run without ticks (nohz_full) there is no such call. No program takes so long.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
