//! A set of policies as it is kept in a pinned set's manifest.

use crate::kernel::policies::effective_policy::EffectivePolicy;
use crate::kernel::policies::policy_set::{Draining, PolicySet, Slot};
use crate::policy::{Policy, PolicySelector};
use crate::table::{CompiledMachine, State, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;

/// A set of policies: the policies themselves, their numbers, and the bases of their rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPolicySet {
    slots: Vec<SavedSlot>,
    draining: Vec<SavedSlot>,
    binaries: BTreeMap<String, u32>,
    cgroups: BTreeMap<String, u32>,
}

/// A policy of the set, or a draining one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedSlot {
    number: u32,
    /// Of a draining policy: the number of its replacement.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    replacement: Option<u32>,
    /// Of a draining policy: how many looks have found no thread in it.
    #[serde(default)]
    empty_looks: u8,
    policy: serde_json::Value,
    bases: Vec<State>,
}

impl SavedPolicySet {
    /// What is kept of a set of policies.
    pub(crate) fn of(policy_set: &PolicySet) -> Self {
        let saved = |number: u32, slot: &Slot, replacement, empty_looks| SavedSlot {
            number,
            replacement,
            empty_looks,
            policy: slot.policy.to_value(),
            bases: slot.compiled.bases.clone(),
        };
        let slots = policy_set.slots.iter();
        let draining = policy_set.draining.iter();
        SavedPolicySet {
            slots: slots.map(|(number, slot)| saved(*number, slot, None, 0)).collect(),
            draining: draining
                .map(|(number, draining)| {
                    saved(*number, &draining.slot, draining.replacement, draining.empty_looks)
                })
                .collect(),
            binaries: policy_set.binaries.clone(),
            cgroups: policy_set.cgroups.clone(),
        }
    }

    /// The set of policies, with the rows where they were. `effective` makes the effective policy
    /// of each.
    ///
    /// # Errors
    /// A policy is invalid, or cannot have the bases that it has here.
    pub(crate) fn restore(
        &self,
        effective: impl Fn(&Policy) -> EffectivePolicy,
    ) -> Result<PolicySet, String> {
        let mut policy_set = PolicySet {
            binaries: self.binaries.clone(),
            cgroups: self.cgroups.clone(),
            ..PolicySet::default()
        };
        let slots = restored(&self.slots, &mut policy_set.table, &effective)?;
        for draining in &self.draining {
            // The rows of a draining policy are cleared. It has its bases, but other rows may have
            // got its cells: so it is compiled in a table of its own.
            let slot =
                restored(slice::from_ref(draining), &mut Table::default(), &effective)?.pop();
            policy_set.table.reserve(&draining.bases);
            if let Some(slot) = slot {
                let restored = Draining {
                    slot,
                    replacement: draining.replacement,
                    empty_looks: draining.empty_looks,
                };
                policy_set.draining.insert(draining.number, restored);
            }
        }
        policy_set.slots = self.slots.iter().map(|slot| slot.number).zip(slots).collect();
        Ok(policy_set)
    }

    /// The subjects of all policies by their numbers, draining ones included. The policies'
    /// machines are not read.
    pub(crate) fn selectors(&self) -> BTreeMap<u32, PolicySelector> {
        let text = |slot: &SavedSlot, key| Some(slot.policy.get(key)?.as_str()?.to_string());
        let all = self.slots.iter().chain(&self.draining);
        all.filter_map(|slot| {
            let subject = PolicySelector {
                binary: text(slot, "binary")?.into(),
                cgroup: text(slot, "cgroup").map(Into::into),
            };
            Some((slot.number, subject))
        })
        .collect()
    }

    /// How many draining policies there are.
    pub(crate) fn draining(&self) -> usize {
        self.draining.len()
    }

    /// The numbers of the policies that are enforced.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.slots.iter().map(|slot| slot.number)
    }
}

/// The policies of some slots, inserted into the table at their bases.
fn restored(
    slots: &[SavedSlot],
    table: &mut Table,
    effective: &impl Fn(&Policy) -> EffectivePolicy,
) -> Result<Vec<Arc<Slot>>, String> {
    let policies: Vec<Policy> =
        slots.iter().map(|slot| parse(&slot.policy)).collect::<Result<_, String>>()?;
    let machines: Vec<_> =
        policies.iter().zip(slots).map(|(policy, slot)| (&policy.machine, &*slot.bases)).collect();
    let compiled = table.insert_at(&machines).ok_or("its policies do not fit their bases")?;
    let slot = |(policy, compiled): (Policy, CompiledMachine)| {
        Arc::new(Slot { effective: effective(&policy), policy: Arc::new(policy), compiled })
    };
    Ok(policies.into_iter().zip(compiled).map(slot).collect())
}

/// A policy from its JSON; the problems in one line if it is none.
fn parse(value: &serde_json::Value) -> Result<Policy, String> {
    crate::policy::parse(value.to_string().as_bytes())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::kernel::policies::policy_set::tests::{after, policy};
    use std::collections::BTreeSet;

    #[test]
    fn draining_policies_come_back_that_had_the_same_cells() {
        // Large rows. Later rows get the cells of earlier ones.
        let row = |context: u32| {
            let calls: Vec<String> = (0..20)
                .map(|call| format!(r#""syscall_{}""#, 100 + (context * 37 + call * 23) % 100))
                .collect();
            format!(r#""syscall_{}": [{}]"#, 100 + context, calls.join(", "))
        };
        let rows = (0..30).map(row).collect::<Vec<_>>().join(", ");
        let mut policy_set = PolicySet::default();
        for binary in ["/a", "/b", "/a", "/b", "/a"] {
            let (next, change) = after(&policy_set, &[policy(binary, None, &rows)]);
            policy_set = next;
            policy_set.clear_rows(&change);
        }
        let restored =
            SavedPolicySet::of(&policy_set).restore(|_| EffectivePolicy::default()).unwrap();
        assert_eq!(SavedPolicySet::of(&restored), SavedPolicySet::of(&policy_set));
    }

    #[test]
    fn what_is_kept_comes_back_the_same() {
        let policies = [
            policy("/a", None, r#""execve": ["brk"]"#),
            policy("/a", Some("/x.slice"), r#""execve": ["brk", "mmap"]"#),
            policy("*", Some("/y.slice/z"), r#""execve": ["brk"]"#),
        ];
        let (first, _) = after(&PolicySet::default(), &policies);
        let (mut policy_set, change) = after(&first, &policies[1..]);
        policy_set.clear_rows(&change);
        // The next agent goes on counting looks.
        policy_set.retire(&BTreeSet::new());
        let restored =
            SavedPolicySet::of(&policy_set).restore(|_| EffectivePolicy::default()).unwrap();
        assert_eq!(SavedPolicySet::of(&restored), SavedPolicySet::of(&policy_set));
        assert_eq!(restored.selection(), policy_set.selection());
        assert_eq!(restored.selection().0.len(), 2);
        assert_eq!(
            (policy_set.draining(), restored.clone().retire(&BTreeSet::new()).len()),
            (1, 1)
        );
        let next = [policy("/b", None, r#""execve": ["openat"]"#)];
        assert_eq!(
            SavedPolicySet::of(&after(&restored, &next).0),
            SavedPolicySet::of(&after(&policy_set, &next).0)
        );
        let mut broken = SavedPolicySet::of(&policy_set);
        broken.slots[1].bases = broken.slots[0].bases.clone();
        assert!(broken.restore(|_| EffectivePolicy::default()).is_err());
    }
}
