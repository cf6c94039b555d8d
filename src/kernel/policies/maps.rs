//! The maps by which policies are changed while they are enforced, whoever has loaded them.

use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::entries;
use crate::kernel::bpf::map_list::{map_list, DATA};
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::identity::maps::{self as bind, Bound, IdentityMaps};
use crate::kernel::policies::fill::{self, LoadedPolicy, StepMaps, Tables};
use crate::kernel::policies::policy_set::{Change, PolicySet};
use crate::kernel::policies::selection::SelectMaps;
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
    }
}

/// All maps that user space uses but those of the events.
pub(crate) struct Maps {
    pub step: StepMaps<MapHandle>,
    tables: Tables,
    pub identity: IdentityMaps<MapHandle>,
    pub select: SelectMaps<MapHandle>,
    pub service: ServiceMaps<MapHandle>,
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
        for (draining, replacement) in next.replacements(change) {
            if let Some(replacement) = replacement {
                fill::add_migrations(
                    &self.step,
                    replacement,
                    &next.migrations(draining, replacement),
                )?;
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
        for (draining, replacement) in next.replacements(change) {
            self.tables.replace(draining, replacement);
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
        next.stale(change).try_for_each(|(compiled, replacement)| {
            fill::forget_migrations(&self.step, compiled, replacement)
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
