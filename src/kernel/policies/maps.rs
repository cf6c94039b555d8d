//! All maps of an enforcement that user space changes, and a change of policies in them: prepared,
//! committed, cleared. Threads are judged all the while.

use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::entries;
use crate::kernel::bpf::map_list::{map_list, DATA};
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::identity::maps::{self as bind, Bound, IdentityMaps};
use crate::kernel::policies::loaded_policy::LoadedPolicy;
use crate::kernel::policies::policy_set::{Change, PolicySet};
use crate::kernel::policies::selection::SelectMaps;
use crate::kernel::policies::step_maps::{self, StepMaps, Tables};
use libbpf_rs::MapHandle;
use std::mem::offset_of;

map_list! {
    /// The maps that the agent uses besides those of the step and of the selection of policies.
    pub(crate) struct ServiceMaps {
        /// The processes that are to be adopted.
        adoptees,
        /// The totals of each CPU.
        counters,
        /// The BPF objects that watched threads are kept from.
        objects,
        /// The states of the watched threads, for the set that replaces this one.
        watched_threads,
        /// The states of those that have no storage, for the same.
        fallback_states,
    }
}

/// All maps that user space uses, but those of the events.
pub(crate) struct Maps {
    pub step: StepMaps<MapHandle>,
    tables: Tables,
    pub identity: IdentityMaps<MapHandle>,
    pub select: SelectMaps<MapHandle>,
    pub service: ServiceMaps<MapHandle>,
    /// The variables of the BPF object.
    pub data: Mapped<types::bss>,
    /// The map that `data` is the memory of.
    data_map: MapHandle,
}

impl Maps {
    /// The maps that `find` finds by their names: those of a loaded object ([`of_object`]), or of a
    /// pinned set.
    ///
    /// [`of_object`]: crate::kernel::bpf::map_list::of_object
    pub(crate) fn find(
        find: impl Fn(&'static str) -> Result<MapHandle, KernelError>,
    ) -> Result<Self, KernelError> {
        let data_map = find(DATA)?;
        let step = StepMaps::find(&find)?;
        Ok(Maps {
            tables: Tables::of(&step)?,
            step,
            identity: IdentityMaps::find(&find)?,
            select: SelectMaps::find(&find)?,
            service: ServiceMaps::find(&find)?,
            data: Mapped::whole(&data_map, DATA)?,
            data_map,
        })
    }

    /// Each map with its name.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &MapHandle)> {
        let lists = self.step.each().chain(self.identity.each()).chain(self.select.each());
        lists.chain(self.service.each()).chain([(DATA, &self.data_map)])
    }

    /// Fills the maps of an object that was just loaded.
    pub(crate) fn fill(&self, policy_set: &PolicySet, bound: &Bound) -> Result<(), KernelError> {
        let loaded: Vec<_> = policy_set.all().collect();
        step_maps::add(&self.step, &self.tables, &loaded)?;
        for one in &loaded {
            self.tables.activate(one.number);
        }
        let (cgroups, selected) = policy_set.selection();
        entries::fill(&self.select.selected, "selected", &selected)?;
        entries::fill(&self.select.cgroups, "cgroups", &cgroups)?;
        self.announce_use(policy_set, bound);
        bind::fill_all(&self.identity, bound)
    }

    /// Whether the maps of identities have exactly these entries.
    pub(crate) fn have(&self, bound: &Bound) -> Result<bool, KernelError> {
        Ok(Bound::read(&self.identity)? == *bound)
    }

    /// Adds what the next set of policies has and the set before has not. Nothing of the set before
    /// is changed: threads are judged by that set only.
    pub(crate) fn prepare(
        &self,
        next: &PolicySet,
        change: &Change,
        bound: &Bound,
    ) -> Result<(), KernelError> {
        let loaded: Vec<_> =
            change.added.iter().filter_map(|number| next.loaded(*number)).collect();
        step_maps::add(&self.step, &self.tables, &loaded)?;
        for (draining, replacement) in next.replacements(change) {
            if let Some(replacement) = replacement {
                step_maps::add_migrations(
                    &self.step,
                    replacement,
                    &next.migrations(draining, replacement),
                )?;
            }
        }
        self.announce_use(next, bound);
        let (cgroups, selected) = next.selection();
        entries::add(&self.select.selected, "selected", &selected)?;
        entries::add(&self.select.cgroups, "cgroups", &cgroups)?;
        bind::add_all(&self.identity, bound)
    }

    /// Replaces the set of policies by the next one, which was prepared. This cannot fail. At any
    /// moment a thread is judged by the one set or the other: an exec by the policy that is active
    /// then; a call by the thread's policy while its rows are there. A call that misses a row that
    /// was cleared moves its thread to the replacement.
    pub(crate) fn commit(&self, next: &PolicySet, change: &Change) {
        change.added.iter().for_each(|number| self.tables.activate(*number));
        for (draining, replacement) in next.replacements(change) {
            self.tables.replace(draining, replacement);
        }
        for one in removed(next, change) {
            self.tables.clear_rows(one.compiled);
        }
    }

    /// Deletes what the set before had and the next one, which was committed, has not.
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
        wait_for_programs();
        // Every program that ran at the commit has ended: nothing reads these entries any more.
        for one in removed(next, change) {
            step_maps::forget(&self.step, &one)?;
        }
        next.stale(change).try_for_each(|(compiled, replacement)| {
            step_maps::forget_migrations(&self.step, compiled, replacement)
        })
    }

    /// Tells the programs which maps they have to ask at an exec. To be called before entries are
    /// added there.
    fn announce_use(&self, policy_set: &PolicySet, bound: &Bound) {
        // A variable is never cleared: an exec may be between reading it and reading the map.
        if !bound.names.is_empty() {
            self.data.store(offset_of!(types::bss, names_used), 1_u8);
        }
        if policy_set.uses_cgroups() {
            self.data.store(offset_of!(types::bss, cgroups_used), 1_u8);
        }
    }
}

/// The policies that a change has removed, as the maps have them.
fn removed<'a>(next: &'a PolicySet, change: &'a Change) -> impl Iterator<Item = LoadedPolicy<'a>> {
    change.removed.iter().filter_map(|number| next.loaded(*number))
}

/// Waits until every BPF program that runs now has ended. A program at a tracepoint is an RCU
/// read-side critical section, and membarrier(2) waits for the end of those (`membarrier_global`,
/// kernel/sched/membarrier.c, calls `synchronize_rcu`).
fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: i64 = 1;
    // SAFETY: membarrier(2) takes integers, and touches no memory of ours.
    let result =
        unsafe { nix::libc::syscall(nix::libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result != 0 {
        // The call fails where CPUs run without ticks (nohz_full). No program takes 100 ms.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
