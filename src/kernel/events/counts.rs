//! Violations by their kinds, as the kernel counts them: also those that have no event.

use crate::kernel::bpf::map_list::map_list;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use crate::kernel::events::violation::{reason, EventReader, Kind};
use crate::machine::Reason;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use std::collections::BTreeMap;

/// Violations of one kind that have no event of their own, since they were last reported.
#[derive(Debug, Clone)]
pub struct Repeated {
    /// The kind.
    pub kind: Kind,
    /// How many.
    pub count: u64,
}

/// How many violations of a policy there were, by their reasons.
pub type ByReason = BTreeMap<Reason, u64>;

type Key = types::sysfsm_violation_kind;

map_list! {
    /// The maps by which violations are reported: those of `bpf/event.h` and
    /// `bpf/violation_counts.h`.
    pub(crate) struct EventMaps {
        /// Violations, each by itself.
        events,
        /// Kind → its violations.
        kind_counts,
        /// Kind → how many of its violations were reported as a count. Written here, for the next
        /// agent.
        reported,
    }
}

impl EventMaps<MapHandle> {
    /// All kinds with their counts.
    fn read(&self) -> Result<Vec<(Key, types::sysfsm_violation_count)>, KernelError> {
        const BATCH: u32 = 4096;
        let failed = |cause| KernelError::Read { map: "kind_counts", cause };
        let batches =
            self.kind_counts.lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY).map_err(failed)?;
        Ok(batches
            .filter_map(|(key, value)| Some((wire::record(&key)?, wire::record(&value)?)))
            .collect())
    }

    /// The violations without an event that were not reported yet. From now on they are reported.
    ///
    /// # Errors
    /// A map cannot be read or changed.
    pub(crate) fn news(&self, reader: &EventReader) -> Result<Vec<Repeated>, KernelError> {
        let failed = |cause| KernelError::Read { map: "reported", cause };
        let mut news = Vec::new();
        for (key, counts) in self.read()? {
            let without_event = counts.count.saturating_sub(counts.events);
            if without_event == 0 {
                continue;
            }
            let bytes = wire::bytes(&key);
            let reported = self.reported.lookup(bytes, MapFlags::ANY).map_err(failed)?;
            let reported: u64 = reported.and_then(|bytes| wire::record(&bytes)).unwrap_or(0);
            let count = without_event.saturating_sub(reported);
            if let Some(kind) = reader.kind(&key).filter(|_| count > 0) {
                self.reported
                    .update(bytes, &without_event.to_ne_bytes(), MapFlags::ANY)
                    .map_err(failed)?;
                news.push(Repeated { kind, count });
            }
        }
        Ok(news)
    }

    /// All violations, by the numbers of their policies.
    ///
    /// # Errors
    /// The map cannot be read.
    pub(crate) fn by_policy(&self) -> Result<BTreeMap<u32, ByReason>, KernelError> {
        let mut all: BTreeMap<u32, ByReason> = BTreeMap::new();
        for (key, counts) in self.read()? {
            *all.entry(key.policy).or_default().entry(reason(key.verdict)).or_default() +=
                counts.count;
        }
        Ok(all)
    }

    /// Deletes the counts of a policy whose number is to become another one's. Returns them.
    ///
    /// # Errors
    /// A map cannot be read or changed.
    pub(crate) fn forget(&self, policy: u32) -> Result<ByReason, KernelError> {
        let mut gone = ByReason::new();
        for (key, counts) in self.read()?.into_iter().filter(|(key, _)| key.policy == policy) {
            *gone.entry(reason(key.verdict)).or_default() += counts.count;
            let bytes = wire::bytes(&key);
            let failed = |cause| KernelError::Fill { map: "kind_counts", entries: 1, cause };
            self.kind_counts.delete(bytes).map_err(failed)?;
            // The entry is there only if something was reported.
            let _ = self.reported.delete(bytes);
        }
        Ok(gone)
    }
}
