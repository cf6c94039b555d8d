//! Violations by their kinds, as the kernel counts them: also those that have no event.

use crate::kernel::bpf::array;
use crate::kernel::bpf::hash;
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
type CallCount = types::sysfsm_call_count;

const CALLS: u32 = types::sysfsm_limit::SYSFSM_CALLS.0;
const CALL_COUNTS: u32 = types::sysfsm_limit::SYSFSM_CALL_COUNTS.0;

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
        /// Policy and call → its violations whose kinds found no room.
        call_counts,
        /// Policy and call → how many of these were reported as a count. Written here.
        calls_reported,
    }
}

/// The kind by which violations of a call are counted whose own kinds found no room. Its state is
/// none.
fn kind_of_call(index: u32, count: &CallCount) -> Key {
    let (policy, slot) = (index / CALL_COUNTS, index % CALL_COUNTS);
    let abi = slot.saturating_sub(CALLS);
    Key {
        policy,
        state: u32::MAX,
        nr: slot.min(CALLS),
        verdict: count.verdict,
        abi: u8::try_from(abi).unwrap_or_default(),
        action: count.action,
        pad: 0,
    }
}

/// The kind of counted violations; `None` if its policy has retired.
fn counted(reader: &EventReader, key: &Key) -> Option<Kind> {
    let kind = reader.kind(key)?;
    Some(if key.nr == CALLS { kind.of_unknown_calls() } else { kind })
}

impl EventMaps<MapHandle> {
    /// All kinds with their counts.
    fn read(&self) -> Result<Vec<(Key, types::sysfsm_violation_count)>, KernelError> {
        hash::read(&self.kind_counts, "kind_counts")
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
            if let Some(kind) = counted(reader, &key).filter(|_| count > 0) {
                self.reported
                    .update(bytes, &without_event.to_ne_bytes(), MapFlags::ANY)
                    .map_err(failed)?;
                news.push(Repeated { kind, count });
            }
        }
        self.calls_news(reader, &mut news)?;
        Ok(news)
    }

    /// Adds the violations without an event that were not reported yet, and that are counted by
    /// their calls.
    fn calls_news(
        &self,
        reader: &EventReader,
        news: &mut Vec<Repeated>,
    ) -> Result<(), KernelError> {
        let failed = |cause| KernelError::Read { map: "calls_reported", cause };
        let report = |index: u32, count: u64| {
            let (key, value) = (index.to_ne_bytes(), count.to_ne_bytes());
            self.calls_reported.update(&key, &value, MapFlags::ANY).map_err(failed)
        };
        // Read before the others: what is counted meanwhile is news the next time.
        let sum = self.calls_sum()?;
        let first: Vec<u64> = array::read(&self.calls_reported, "calls_reported", 1)?;
        if first.first() == Some(&sum) {
            return Ok(());
        }
        let reported: Vec<u64> = array::read(&self.calls_reported, "calls_reported", u32::MAX)?;
        for (index, count) in self.calls()? {
            let without_event = count.count.saturating_sub(count.events.into());
            let before = reported.get(index as usize).copied().unwrap_or_default();
            let fresh = without_event.saturating_sub(before);
            let key = kind_of_call(index, &count);
            if let Some(kind) = counted(reader, &key).filter(|_| fresh > 0) {
                report(index, without_event)?;
                let kind = Kind { any_context: kind.reason == Reason::Transition, ..kind };
                news.push(Repeated { kind, count: fresh });
            }
        }
        report(0, sum)
    }

    /// How many violations are counted by their calls.
    fn calls_sum(&self) -> Result<u64, KernelError> {
        let first: Vec<CallCount> = array::read(&self.call_counts, "call_counts", 1)?;
        Ok(first.first().map_or(0, |sum| sum.count))
    }

    /// The calls by which violations are counted, by their indices.
    fn calls(&self) -> Result<Vec<(u32, CallCount)>, KernelError> {
        if self.calls_sum()? == 0 {
            return Ok(Vec::new());
        }
        let all: Vec<CallCount> = array::read(&self.call_counts, "call_counts", u32::MAX)?;
        // The first policies' number is 1: what stands before is the sum.
        let counted = (0..).zip(all).skip(CALL_COUNTS as usize);
        Ok(counted.filter(|(_, call)| call.count > 0).collect())
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
        for (index, count) in self.calls()? {
            let policy = all.entry(index / CALL_COUNTS).or_default();
            *policy.entry(reason(count.verdict)).or_default() += count.count;
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
        let counted = self.calls()?.into_iter().filter(|(index, _)| index / CALL_COUNTS == policy);
        for (_, count) in counted {
            *gone.entry(reason(count.verdict)).or_default() += count.count;
        }
        // Those without a count may have been reported: the first violation of the next policy's
        // calls is to be an event, too.
        let first = policy * CALL_COUNTS;
        let keys: Vec<u8> = (first..first + CALL_COUNTS).flat_map(u32::to_ne_bytes).collect();
        for (map, name) in
            [(&self.call_counts, "call_counts"), (&self.calls_reported, "calls_reported")]
        {
            let zeros = vec![0; CALL_COUNTS as usize * map.value_size() as usize];
            map.update_batch(&keys, &zeros, CALL_COUNTS, MapFlags::ANY, MapFlags::ANY).map_err(
                |cause| KernelError::Fill { map: name, entries: CALL_COUNTS as usize, cause },
            )?;
        }
        Ok(gone)
    }
}
