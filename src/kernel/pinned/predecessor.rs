//! A pinned set that another one is about to replace: which threads it watches, under which
//! policies. The new set reads that in the kernel, since processes come and go meanwhile.

use crate::kernel::bpf::entries::Entries;
use crate::kernel::error::KernelError;
use crate::kernel::pinned::set::Pinned;
use crate::kernel::policies::policy_set::PolicySet;
use crate::policy::PolicySelector;
use libbpf_rs::MapHandle;
use std::collections::BTreeMap;

/// What a new set needs of the set before (`bpf/predecessor.h`).
pub(crate) struct Predecessor {
    /// The states of the threads, and those that have no storage.
    pub threads: MapHandle,
    pub fallbacks: MapHandle,
    /// By the number of a policy, its binary and cgroup.
    selectors: BTreeMap<u32, PolicySelector>,
}

impl Predecessor {
    /// Opens the maps of a set, of any version that has pinned them.
    ///
    /// # Errors
    /// They are not pinned, or cannot be opened.
    pub(crate) fn open(before: &Pinned) -> Result<Self, KernelError> {
        let directory = &before.set.directory;
        Ok(Predecessor {
            threads: directory.map("watched_threads")?,
            fallbacks: directory.map("fallback_states")?,
            selectors: before.manifest().selectors(),
        })
    }

    /// The entries of the map `binaries_before`: by the number of a policy before, the number of its
    /// binary now.
    pub(crate) fn binaries(&self, now: &PolicySet) -> Entries {
        let number = |(policy, selector): (&u32, &PolicySelector)| {
            let binary = now.binaries.get(selector.binary.whole())?;
            Some((policy.to_ne_bytes().to_vec(), binary.to_ne_bytes().to_vec()))
        };
        self.selectors.iter().filter_map(number).collect()
    }

    /// How many entries that map has at the most.
    pub(crate) fn policies(&self) -> usize {
        self.selectors.len()
    }
}
