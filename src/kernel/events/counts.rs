//! Violations by their kinds, as the kernel counts them: also those that no event tells of.

use crate::kernel::bpf::bpffs::PinDirectory;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use crate::kernel::events::violation::{reason, EventReader, Kind};
use crate::machine::Reason;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use std::collections::BTreeMap;

/// Violations of one kind that were not told one by one, since they were told of last.
#[derive(Debug, Clone)]
pub struct Repeated {
    /// The kind.
    pub kind: Kind,
    /// How many.
    pub count: u64,
}

/// How many violations there were, by their reasons; of a policy.
pub type ByReason = BTreeMap<Reason, u64>;

/// The maps of `bpf/tally.h`.
pub(crate) struct Tallies {
    pub counted: MapHandle,
    /// Of each kind how many were told by their number; written here, for who comes after.
    pub said: MapHandle,
}

type Key = types::sysfsm_kind_of_violation;

impl Tallies {
    /// Those of a pinned set.
    pub(crate) fn pinned(directory: &PinDirectory) -> Result<Self, KernelError> {
        Ok(Tallies { counted: directory.map("tallies")?, said: directory.map("said")? })
    }

    /// All kinds.
    fn read(&self) -> Result<Vec<(Key, types::sysfsm_tally)>, KernelError> {
        const BATCH: u32 = 4096;
        let failed = |cause| KernelError::Read { map: "tallies", cause };
        let batches =
            self.counted.lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY).map_err(failed)?;
        Ok(batches
            .filter_map(|(key, value)| Some((wire::record(&key)?, wire::record(&value)?)))
            .collect())
    }

    /// What is to be told by its number. From now on it is told.
    pub(crate) fn news(&self, reader: &EventReader) -> Result<Vec<Repeated>, KernelError> {
        let failed = |cause| KernelError::Read { map: "said", cause };
        let mut news = Vec::new();
        for (key, tally) in self.read()? {
            let untold = tally.count.saturating_sub(tally.told);
            if untold == 0 {
                continue;
            }
            let bytes = wire::bytes(&key);
            let said = self.said.lookup(bytes, MapFlags::ANY).map_err(failed)?;
            let said: u64 = said.and_then(|said| wire::record(&said)).unwrap_or(0);
            let count = untold.saturating_sub(said);
            if let Some(kind) = reader.kind(&key).filter(|_| count > 0) {
                self.said.update(bytes, &untold.to_ne_bytes(), MapFlags::ANY).map_err(failed)?;
                news.push(Repeated { kind, count });
            }
        }
        Ok(news)
    }

    /// All violations, by the numbers of their policies.
    pub(crate) fn by_policy(&self) -> Result<BTreeMap<u32, ByReason>, KernelError> {
        let mut all: BTreeMap<u32, ByReason> = BTreeMap::new();
        for (key, tally) in self.read()? {
            *all.entry(key.policy).or_default().entry(reason(key.verdict)).or_default() +=
                tally.count;
        }
        Ok(all)
    }

    /// Forgets the kinds of a policy whose number is to be another one's. What there was of them.
    pub(crate) fn forget(&self, policy: u32) -> Result<ByReason, KernelError> {
        let mut gone = ByReason::new();
        for (key, tally) in self.read()?.into_iter().filter(|(key, _)| key.policy == policy) {
            *gone.entry(reason(key.verdict)).or_default() += tally.count;
            let bytes = wire::bytes(&key);
            let failed = |cause| KernelError::Fill { map: "tallies", entries: 1, cause };
            self.counted.delete(bytes).map_err(failed)?;
            // It is there only if something was said.
            let _ = self.said.delete(bytes);
        }
        Ok(gone)
    }
}
