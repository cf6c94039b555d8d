//! Which policies are in the kernel, and under which numbers: as they come, replace each other, and
//! go.

use crate::kernel::bpf::entries::Entries;
use crate::kernel::identity::binaries::Wanted;
use crate::kernel::policies::fill::{EffectivePolicy, LoadedPolicy, Sizes};
use crate::kernel::policies::selection::cgroup_key;
use crate::policy::{Policy, Subject, ANY_BINARY};
use crate::table::{migrations, CompiledMachine, MigrationTarget, State, Table};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::Arc;

/// A policy in its place.
#[derive(Debug)]
pub(crate) struct Slot {
    pub policy: Arc<Policy>,
    pub effective: EffectivePolicy,
    pub compiled: CompiledMachine,
}

/// One that has gone, while threads may still be in its states: they go on under the replacement when
/// they make a call.
#[derive(Debug, Clone)]
struct Draining {
    slot: Arc<Slot>,
    /// None: its threads are not watched any more.
    replacement: Option<u32>,
    /// How often no thread was seen in it, one look after another.
    missed: u8,
}

/// A draining policy that no thread is in any more. The kernel still knows where its threads went
/// on.
#[derive(Debug)]
pub(crate) struct Retired {
    pub number: u32,
    pub slot: Arc<Slot>,
    pub replacement: Option<u32>,
}

/// The policies, by their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicySet {
    table: Table,
    slots: BTreeMap<u32, Arc<Slot>>,
    draining: BTreeMap<u32, Draining>,
    /// The numbers of the binaries that policies name, and of their cgroups.
    binaries: BTreeMap<String, u32>,
    cgroups: BTreeMap<String, u32>,
}

/// What a next set of policies has that the one before has not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The numbers of new policies.
    pub added: Vec<u32>,
    /// The numbers of those that have gone.
    pub removed: Vec<u32>,
    /// Where the threads of draining ones went on before, if that is another policy by now.
    stale: Vec<(u32, Option<u32>)>,
}

/// A set of policies, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPolicySet {
    slots: Vec<SavedSlot>,
    draining: Vec<SavedSlot>,
    binaries: BTreeMap<String, u32>,
    cgroups: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedSlot {
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    replacement: Option<u32>,
    /// Of a draining one: how many looks have found no thread in it.
    #[serde(default)]
    missed: u8,
    policy: serde_json::Value,
    bases: Vec<State>,
}

/// After so many looks that find no thread in it a draining policy is forgotten. One could miss a
/// thread: born of another one behind the look, which moves before the look comes to it.
const LOOKS: u8 = 2;

impl PolicySet {
    /// The set of policies of these policies after this one: what stays the same keeps its number
    /// and its place.
    pub(crate) fn next(
        &self,
        policies: &[Policy],
        effective: &[EffectivePolicy],
    ) -> (PolicySet, Change) {
        let mut next = self.clone();
        let mut change = Change::default();
        let mut before: BTreeMap<Subject, u32> =
            self.slots.iter().map(|(&number, slot)| (slot.policy.subject(), number)).collect();
        let mut coming = Vec::new();
        for (policy, &effective) in policies.iter().zip(effective) {
            let number = before.remove(&policy.subject());
            let slot = number.and_then(|number| self.slots.get(&number));
            if slot.is_none_or(|slot| *slot.policy != *policy || slot.effective != effective) {
                coming.push((policy, effective, number));
            }
        }
        let machines: Vec<_> = coming.iter().map(|(policy, ..)| &policy.machine).collect();
        for ((policy, effective, replaced), compiled) in
            coming.iter().zip(next.table.insert(&machines))
        {
            let number = next.free_number();
            let slot =
                Slot { policy: Arc::new((*policy).clone()), effective: *effective, compiled };
            next.slots.insert(number, Arc::new(slot));
            change.added.push(number);
            if let Some(replaced) = *replaced {
                next.go(replaced, Some(number), &mut change);
            }
        }
        for number in before.into_values() {
            next.go(number, None, &mut change);
        }
        next.number_names();
        (next, change)
    }

    /// A policy goes, and perhaps another one comes in its place; those whose threads would have
    /// gone on there as well.
    fn go(&mut self, number: u32, replacement: Option<u32>, change: &mut Change) {
        let Some(slot) = self.slots.remove(&number) else { return };
        for (&other, draining) in &mut self.draining {
            if draining.replacement == Some(number) {
                change.stale.push((other, draining.replacement));
                draining.replacement = replacement;
            }
        }
        self.draining.insert(number, Draining { slot, replacement, missed: 0 });
        change.removed.push(number);
    }

    fn free_number(&self) -> u32 {
        let taken =
            |number: &u32| self.slots.contains_key(number) || self.draining.contains_key(number);
        (1..u32::MAX).find(|number| !taken(number)).unwrap_or(u32::MAX)
    }

    /// Numbers binaries and cgroups: those that have a number keep it.
    fn number_names(&mut self) {
        let policies = || self.slots.values().map(|slot| &slot.policy);
        let binaries =
            policies().map(|p| p.binary.as_str()).filter(|binary| *binary != ANY_BINARY).collect();
        let binaries = numbered(&self.binaries, binaries);
        let cgroups =
            numbered(&self.cgroups, policies().filter_map(|p| p.cgroup.as_deref()).collect());
        (self.binaries, self.cgroups) = (binaries, cgroups);
    }

    /// Takes the rows of the policies that have gone out of the table, as the kernel's is without
    /// them.
    pub(crate) fn clear_rows(&mut self, change: &Change) {
        for number in &change.removed {
            if let Some(draining) = self.draining.get(number) {
                self.table.clear_rows(&draining.slot.compiled);
            }
        }
    }

    /// What the kernel's maps have to hold while threads move.
    pub(crate) fn sizes(&self, change: &Change) -> Sizes {
        let gone = change.removed.iter().filter_map(|number| self.loaded(*number));
        let mut sizes = Sizes::of(self.table.cells(), self.all().chain(gone));
        let draining = self.draining.values().map(|draining| draining.slot.compiled.rows.len());
        // Those of the replacement before are there for a moment longer.
        sizes.migrations = 2 * draining.sum::<usize>();
        sizes
    }

    /// The policies, ready for the maps.
    pub(crate) fn all(&self) -> impl Iterator<Item = LoadedPolicy<'_>> {
        self.slots.iter().map(|(&number, slot)| slot.loaded(number))
    }

    /// One of them, or a draining one.
    pub(crate) fn loaded(&self, number: u32) -> Option<LoadedPolicy<'_>> {
        let draining = || self.draining.get(&number).map(|draining| &draining.slot);
        self.slots.get(&number).or_else(draining).map(|slot| slot.loaded(number))
    }

    /// The policies that have gone, and draining ones that have another replacement now, each with
    /// who it is.
    pub(crate) fn replacements<'a>(
        &'a self,
        change: &'a Change,
    ) -> impl Iterator<Item = (u32, Option<u32>)> + 'a {
        let moved = change.stale.iter().map(|stale| stale.0);
        let all = change.removed.iter().copied().chain(moved);
        all.filter_map(|number| Some((number, self.draining.get(&number)?.replacement)))
    }

    /// Where the threads of a draining policy's states go on in its replacement.
    pub(crate) fn migrations(
        &self,
        draining: u32,
        replacement: u32,
    ) -> Vec<(State, MigrationTarget)> {
        let (from, to) = (self.draining.get(&draining), self.slots.get(&replacement));
        from.zip(to)
            .map(|(from, to)| migrations(&from.slot.compiled, &to.compiled, &to.policy.machine))
            .unwrap_or_default()
    }

    /// Where the threads of draining policies do not go on any more.
    pub(crate) fn stale<'a>(
        &'a self,
        change: &'a Change,
    ) -> impl Iterator<Item = (&'a CompiledMachine, u32)> {
        change.stale.iter().filter_map(|(number, before)| {
            Some((&self.draining.get(number)?.slot.compiled, (*before)?))
        })
    }

    /// Forgets draining policies in which no thread is any more, `held` being those in which there
    /// is one now.
    pub(crate) fn forget(&mut self, held: &BTreeSet<u32>) -> Vec<Retired> {
        let mut gone = Vec::new();
        let table = &mut self.table;
        self.draining.retain(|number, draining| {
            draining.missed = if held.contains(number) { 0 } else { draining.missed + 1 };
            let stays = draining.missed < LOOKS;
            if !stays {
                table.free(&draining.slot.compiled.bases);
                let Draining { slot, replacement, .. } = draining.clone();
                gone.push(Retired { number: *number, slot, replacement });
            }
            stays
        });
        gone
    }

    /// Every policy that an event may be about.
    pub(crate) fn known(&self) -> impl Iterator<Item = (u32, &Arc<Slot>)> {
        let draining = self.draining.iter().map(|(&number, draining)| (number, &draining.slot));
        self.slots.iter().map(|(&number, slot)| (number, slot)).chain(draining)
    }

    /// How many threads' draining policies there are.
    pub(crate) fn draining(&self) -> usize {
        self.draining.len()
    }

    /// How many states the policies have.
    pub(crate) fn states(&self) -> usize {
        self.slots.values().map(|slot| slot.compiled.rows.len()).sum()
    }

    /// The binaries that are to be found, in the order of [`PolicySet::numbers`]; `may_be_absent`:
    /// any of them.
    pub(crate) fn wanted(&self, may_be_absent: bool) -> Vec<Wanted<'_>> {
        let everywhere: BTreeSet<&str> = self
            .slots
            .values()
            .filter(|slot| slot.policy.cgroup.is_none())
            .map(|slot| slot.policy.binary.as_str())
            .collect();
        let wanted = |binary: &'_ String| {
            // What is in a cgroup only may be in a container only.
            may_be_absent || !everywhere.contains(binary.as_str())
        };
        self.binaries
            .keys()
            .map(|binary| Wanted { binary, may_be_absent: wanted(binary) })
            .collect()
    }

    /// The numbers of the binaries, by their places.
    pub(crate) fn numbers(&self) -> impl Fn(usize) -> u32 {
        let numbers: Vec<u32> = self.binaries.values().copied().collect();
        move |place| numbers.get(place).copied().unwrap_or(0)
    }

    /// The place of a binary among all.
    pub(crate) fn place(&self, binary: &str) -> Option<usize> {
        self.binaries.keys().position(|other| other == binary)
    }

    /// Whether policies are for cgroups.
    pub(crate) fn uses_cgroups(&self) -> bool {
        !self.cgroups.is_empty()
    }

    /// Whether a policy is for whatever runs in a cgroup.
    pub(crate) fn binds_any(&self) -> bool {
        self.slots.values().any(|slot| slot.policy.binary == ANY_BINARY)
    }

    /// The entries of `cgroups` and `selected` (`bpf/select.h`).
    pub(crate) fn selection(&self) -> (Entries, Entries) {
        let words = |words: [u32; 2]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let number = |of: &BTreeMap<String, u32>, name: &str| of.get(name).copied().unwrap_or(0);
        let cgroups =
            self.cgroups.iter().map(|(path, n)| (cgroup_key(path), n.to_ne_bytes().to_vec()));
        let selected = self.slots.iter().map(|(policy, slot)| {
            let cgroup =
                slot.policy.cgroup.as_deref().map_or(0, |path| number(&self.cgroups, path));
            (
                words([number(&self.binaries, &slot.policy.binary), cgroup]),
                policy.to_ne_bytes().to_vec(),
            )
        });
        (cgroups.collect(), selected.collect())
    }

    /// What is to be kept of it.
    pub(crate) fn save(&self) -> SavedPolicySet {
        let saved = |number: u32, slot: &Slot, replacement, missed| SavedSlot {
            number,
            replacement,
            missed,
            policy: slot.policy.to_value(),
            bases: slot.compiled.bases.clone(),
        };
        SavedPolicySet {
            slots: self.slots.iter().map(|(number, slot)| saved(*number, slot, None, 0)).collect(),
            draining: self
                .draining
                .iter()
                .map(|(number, draining)| {
                    saved(*number, &draining.slot, draining.replacement, draining.missed)
                })
                .collect(),
            binaries: self.binaries.clone(),
            cgroups: self.cgroups.clone(),
        }
    }

    /// A set of policies that was kept; `effective` of a policy.
    pub(crate) fn restore(
        saved: &SavedPolicySet,
        effective: impl Fn(&Policy) -> EffectivePolicy,
    ) -> Result<Self, String> {
        let mut policy_set = PolicySet {
            binaries: saved.binaries.clone(),
            cgroups: saved.cgroups.clone(),
            ..PolicySet::default()
        };
        let slots = slots_of(&saved.slots, &mut policy_set.table, &effective)?;
        for draining in &saved.draining {
            // Those have places, and no cells: what they had others may have had after them, and
            // may have now.
            let slot =
                slots_of(slice::from_ref(draining), &mut Table::default(), &effective)?.pop();
            policy_set.table.reserve(&draining.bases);
            if let Some(slot) = slot {
                let known =
                    Draining { slot, replacement: draining.replacement, missed: draining.missed };
                policy_set.draining.insert(draining.number, known);
            }
        }
        policy_set.slots = saved.slots.iter().map(|slot| slot.number).zip(slots).collect();
        Ok(policy_set)
    }
}

impl Slot {
    fn loaded(&self, number: u32) -> LoadedPolicy<'_> {
        LoadedPolicy { number, compiled: &self.compiled, effective: self.effective }
    }
}

impl SavedPolicySet {
    /// Numbers and policies' binaries and cgroups, draining ones included, without reading the
    /// policies.
    pub(crate) fn subjects(&self) -> BTreeMap<u32, Subject> {
        let text = |slot: &SavedSlot, key| Some(slot.policy.get(key)?.as_str()?.to_string());
        let all = self.slots.iter().chain(&self.draining);
        all.filter_map(|slot| {
            let subject = Subject { binary: text(slot, "binary")?, cgroup: text(slot, "cgroup") };
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

/// Seats, each where it was in the table.
fn slots_of(
    slots: &[SavedSlot],
    table: &mut Table,
    effective: &impl Fn(&Policy) -> EffectivePolicy,
) -> Result<Vec<Arc<Slot>>, String> {
    let policies: Vec<Policy> =
        slots.iter().map(|slot| parse(&slot.policy)).collect::<Result<_, String>>()?;
    let before: Vec<_> =
        policies.iter().zip(slots).map(|(policy, slot)| (&policy.machine, &*slot.bases)).collect();
    let compiled = table.insert_at(&before).ok_or("its policies do not fit their bases")?;
    let slot = |(policy, compiled): (Policy, CompiledMachine)| {
        Arc::new(Slot { effective: effective(&policy), policy: Arc::new(policy), compiled })
    };
    Ok(policies.into_iter().zip(compiled).map(slot).collect())
}

fn parse(value: &serde_json::Value) -> Result<Policy, String> {
    crate::policy::parse(value.to_string().as_bytes())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Gives each name a number, those that have one the same. A number that has just become free is
/// none: the kernel may still know it by the other name.
fn numbered(before: &BTreeMap<String, u32>, names: BTreeSet<&str>) -> BTreeMap<String, u32> {
    let mut numbers: BTreeMap<String, u32> =
        names.iter().filter_map(|name| Some(((*name).to_string(), *before.get(*name)?))).collect();
    let mut taken: BTreeSet<u32> = before.values().copied().collect();
    let mut free = 1..;
    for name in names {
        if !numbers.contains_key(name) {
            let number = free.find(|number| taken.insert(*number)).unwrap_or(u32::MAX);
            numbers.insert(name.to_string(), number);
        }
    }
    numbers
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::policy::parse;

    fn policy(binary: &str, cgroup: Option<&str>, transitions: &str) -> Policy {
        let cgroup = cgroup.map_or(String::new(), |path| format!(r#""cgroup": "{path}", "#));
        parse(
            format!(
                r#"{{"sysfsm": 1, "binary": "{binary}", {cgroup}"transitions": {{{transitions}}}}}"#
            )
            .as_bytes(),
        )
        .unwrap()
    }

    fn after(policy_set: &PolicySet, policies: &[Policy]) -> (PolicySet, Change) {
        policy_set.next(policies, &vec![EffectivePolicy::default(); policies.len()])
    }

    #[test]
    fn what_stays_the_same_keeps_its_number_and_its_place() {
        let (a, b) = (
            policy("/a", None, r#""execve": ["brk"]"#),
            policy("/b", None, r#""execve": ["brk"]"#),
        );
        let changed = policy("/a", None, r#""execve": ["mmap"]"#);
        let (first, change) = after(&PolicySet::default(), &[a.clone(), b.clone()]);
        assert_eq!((&*change.added, &*change.removed), (&[1, 2][..], &[][..]));
        let (mut second, change) = after(&first, &[b.clone(), changed.clone()]);
        assert_eq!((&*change.added, &*change.removed), (&[3][..], &[1][..]));
        second.clear_rows(&change);
        assert_eq!(second.loaded(2).unwrap().compiled, first.loaded(2).unwrap().compiled);
        let replacements = |policy_set: &PolicySet, change: &Change| -> Vec<(u32, Option<u32>)> {
            policy_set.replacements(change).collect()
        };
        assert_eq!(replacements(&second, &change), [(1, Some(3))]);
        assert_eq!(after(&second, &[changed.clone(), b.clone()]).1, Change::default());
        // Threads may still be in the first one: it has the newest for its replacement, and its
        // number is nobody else's.
        let (third, change) = after(&second, &[a.clone(), b.clone()]);
        assert_eq!((&*change.added, &*change.removed), (&[4][..], &[3][..]));
        assert_eq!(replacements(&third, &change), [(3, Some(4)), (1, Some(4))]);
        assert_eq!(third.stale(&change).map(|stale| stale.1).collect::<Vec<_>>(), [3]);
        let (fourth, change) = after(&third, &[b]);
        assert_eq!(replacements(&fourth, &change), [(4, None), (1, None), (3, None)]);
    }

    #[test]
    fn a_former_policy_is_forgotten_when_no_thread_is_in_it() {
        let a = policy("/a", None, r#""execve": ["brk"]"#);
        let (first, _) = after(&PolicySet::default(), &[a]);
        let (mut second, change) = after(&first, &[policy("/a", None, r#""execve": ["mmap"]"#)]);
        second.clear_rows(&change);
        let (held, free) = (BTreeSet::from([1]), BTreeSet::new());
        assert!(second.forget(&free).is_empty() && second.forget(&held).is_empty());
        assert!(second.forget(&free).is_empty());
        assert_eq!(second.forget(&free).len(), 1);
        assert_eq!(second.draining(), 0);
    }

    #[test]
    fn former_ones_come_back_that_had_the_same_cells() {
        // Large rows, whose cells lie where later ones have theirs.
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
            PolicySet::restore(&policy_set.save(), |_| EffectivePolicy::default()).unwrap();
        assert_eq!(restored.save(), policy_set.save());
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
        // Who comes next goes on counting looks.
        policy_set.forget(&BTreeSet::new());
        let restored =
            PolicySet::restore(&policy_set.save(), |_| EffectivePolicy::default()).unwrap();
        assert_eq!(restored.save(), policy_set.save());
        assert_eq!(restored.selection(), policy_set.selection());
        assert_eq!(restored.selection().0.len(), 2);
        assert_eq!(
            (policy_set.draining(), restored.clone().forget(&BTreeSet::new()).len()),
            (1, 1)
        );
        let next = [policy("/b", None, r#""execve": ["openat"]"#)];
        assert_eq!(after(&restored, &next).0.save(), after(&policy_set, &next).0.save());
        let mut broken = policy_set.save();
        broken.slots[1].bases = broken.slots[0].bases.clone();
        assert!(PolicySet::restore(&broken, |_| EffectivePolicy::default()).is_err());
    }
}
