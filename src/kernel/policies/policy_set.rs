//! Which policies are in the kernel, and under which numbers. Policies come, replace each other,
//! and go; what is to be written for it is decided here, and written in `maps`.

use crate::kernel::bpf::entries::Entries;
use crate::kernel::identity::binaries::Wanted;
use crate::kernel::policies::effective_policy::EffectivePolicy;
use crate::kernel::policies::loaded_policy::LoadedPolicy;
use crate::kernel::policies::selection::cgroup_key;
use crate::kernel::policies::sizes::Sizes;
use crate::policy::{Policy, PolicySelector, ANY_BINARY};
use crate::table::{migrations, CompiledMachine, State, Table};
use crate::text::UntrustedText;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A policy that has a number, and its rows in the table.
#[derive(Debug)]
pub(crate) struct Slot {
    pub policy: Arc<Policy>,
    pub effective: EffectivePolicy,
    pub compiled: CompiledMachine,
}

/// A policy that was removed or replaced. Threads may still be in its states. Each of them goes on
/// under the replacement when it makes its next call.
#[derive(Debug, Clone)]
pub(crate) struct Draining {
    pub slot: Arc<Slot>,
    /// The number of the policy in its place. `None`: the threads are not watched any more.
    pub replacement: Option<u32>,
    /// How many looks one after another have found no thread in the policy's states.
    pub empty_looks: u8,
}

/// A policy that was draining, and that no thread is in any more. Its migrations are still in the
/// kernel's map.
#[derive(Debug)]
pub(crate) struct Retired {
    pub number: u32,
    pub slot: Arc<Slot>,
    pub replacement: Option<u32>,
}

/// The policies of an enforcement, by their numbers, and their rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicySet {
    pub table: Table,
    pub slots: BTreeMap<u32, Arc<Slot>>,
    pub draining: BTreeMap<u32, Draining>,
    /// The binaries that policies name, each with its number.
    pub binaries: BTreeMap<String, u32>,
    /// The cgroups that policies name, each with its number.
    pub cgroups: BTreeMap<String, u32>,
}

/// The difference between a set of policies and the one after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The numbers of new policies.
    pub added: Vec<u32>,
    /// The numbers of policies that were removed or replaced: they are draining now.
    pub removed: Vec<u32>,
    /// Draining policies whose replacement has changed, each with the replacement before.
    stale: Vec<(u32, Option<u32>)>,
}

/// After this many looks one after another that find no thread in it a draining policy is retired.
/// One look is not enough: a thread that is created behind the look, by a thread that moves before
/// the look reaches it, is missed.
const LOOKS: u8 = 2;

impl PolicySet {
    /// The set after this one, which has these policies, each with its effective policy. A policy
    /// that stays the same keeps its number and its rows.
    pub(crate) fn next(
        &self,
        policies: &[Policy],
        effective: &[EffectivePolicy],
    ) -> (PolicySet, Change) {
        let mut next = self.clone();
        let mut change = Change::default();
        let mut before: BTreeMap<PolicySelector, u32> =
            self.slots.iter().map(|(&number, slot)| (slot.policy.selector(), number)).collect();
        let mut coming = Vec::new();
        for (policy, &effective) in policies.iter().zip(effective) {
            let number = before.remove(&policy.selector());
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
                next.remove(replaced, Some(number), &mut change);
            }
        }
        for number in before.into_values() {
            next.remove(number, None, &mut change);
        }
        next.number_names();
        (next, change)
    }

    /// Makes a policy a draining one. Draining policies that it was the replacement of get its own
    /// replacement.
    fn remove(&mut self, number: u32, replacement: Option<u32>, change: &mut Change) {
        let Some(slot) = self.slots.remove(&number) else { return };
        for (&other, draining) in &mut self.draining {
            if draining.replacement == Some(number) {
                change.stale.push((other, draining.replacement));
                draining.replacement = replacement;
            }
        }
        self.draining.insert(number, Draining { slot, replacement, empty_looks: 0 });
        change.removed.push(number);
    }

    /// The lowest number that no policy has, draining ones included.
    fn free_number(&self) -> u32 {
        let taken =
            |number: &u32| self.slots.contains_key(number) || self.draining.contains_key(number);
        (1..u32::MAX).find(|number| !taken(number)).unwrap_or(u32::MAX)
    }

    /// Numbers the binaries and cgroups that policies name. Those that have a number keep it.
    fn number_names(&mut self) {
        let policies = || self.slots.values().map(|slot| &slot.policy);
        let binaries =
            policies().map(|p| p.binary.whole()).filter(|binary| *binary != ANY_BINARY).collect();
        let binaries = numbered(&self.binaries, binaries);
        let cgroups = numbered(
            &self.cgroups,
            policies().filter_map(|p| p.cgroup.as_ref().map(UntrustedText::whole)).collect(),
        );
        (self.binaries, self.cgroups) = (binaries, cgroups);
    }

    /// Clears the rows of the policies that a change has removed. The kernel's table must be
    /// without them, too.
    pub(crate) fn clear_rows(&mut self, change: &Change) {
        for number in &change.removed {
            if let Some(draining) = self.draining.get(number) {
                self.table.clear_rows(&draining.slot.compiled);
            }
        }
    }

    /// How large the kernel's maps have to be while threads move from one policy to another.
    pub(crate) fn sizes(&self, change: &Change) -> Sizes {
        let gone = change.removed.iter().filter_map(|number| self.loaded(*number));
        let mut sizes = Sizes::of(self.table.cells(), self.all().chain(gone));
        let draining = self.draining.values().map(|draining| draining.slot.compiled.rows.len());
        // For a moment the map also has the migrations to the replacements before.
        sizes.migrations = 2 * draining.sum::<usize>();
        sizes
    }

    /// The policies that are enforced, without draining ones, as the maps have them.
    pub(crate) fn all(&self) -> impl Iterator<Item = LoadedPolicy<'_>> {
        self.slots.iter().map(|(&number, slot)| slot.loaded(number))
    }

    /// A policy, or a draining one, as the maps have it.
    pub(crate) fn loaded(&self, number: u32) -> Option<LoadedPolicy<'_>> {
        let draining = || self.draining.get(&number).map(|draining| &draining.slot);
        self.slots.get(&number).or_else(draining).map(|slot| slot.loaded(number))
    }

    /// The draining policies whose replacement a change has set, each with the number of its
    /// replacement.
    pub(crate) fn replacements<'a>(
        &'a self,
        change: &'a Change,
    ) -> impl Iterator<Item = (u32, Option<u32>)> + 'a {
        let moved = change.stale.iter().map(|stale| stale.0);
        let all = change.removed.iter().copied().chain(moved);
        all.filter_map(|number| Some((number, self.draining.get(&number)?.replacement)))
    }

    /// By state of a draining policy, where its threads go on in the replacement.
    pub(crate) fn migrations(&self, draining: u32, replacement: u32) -> Vec<(State, State)> {
        let (from, to) = (self.draining.get(&draining), self.slots.get(&replacement));
        from.zip(to)
            .map(|(from, to)| migrations(&from.slot.compiled, &to.compiled, &to.policy.machine))
            .unwrap_or_default()
    }

    /// The migrations that a change has made useless: the machine that threads leave, and the
    /// number of the policy that was its replacement before.
    pub(crate) fn stale<'a>(
        &'a self,
        change: &'a Change,
    ) -> impl Iterator<Item = (&'a CompiledMachine, u32)> {
        change.stale.iter().filter_map(|(number, before)| {
            Some((&self.draining.get(number)?.slot.compiled, (*before)?))
        })
    }

    /// Takes note of a look at all threads, which has found some in the policies `occupied`.
    /// Removes and returns the draining policies that no thread is in any more.
    pub(crate) fn retire(&mut self, occupied: &BTreeSet<u32>) -> Vec<Retired> {
        let mut retired = Vec::new();
        let table = &mut self.table;
        self.draining.retain(|number, draining| {
            draining.empty_looks =
                if occupied.contains(number) { 0 } else { draining.empty_looks + 1 };
            let stays = draining.empty_looks < LOOKS;
            if !stays {
                table.free(&draining.slot.compiled.bases);
                let Draining { slot, replacement, .. } = draining.clone();
                retired.push(Retired { number: *number, slot, replacement });
            }
            stays
        });
        retired
    }

    /// Every policy that an event may be about, draining ones included, with its number.
    pub(crate) fn known(&self) -> impl Iterator<Item = (u32, &Arc<Slot>)> {
        let draining = self.draining.iter().map(|(&number, draining)| (number, &draining.slot));
        self.slots.iter().map(|(&number, slot)| (number, slot)).chain(draining)
    }

    /// How many draining policies there are.
    pub(crate) fn draining(&self) -> usize {
        self.draining.len()
    }

    /// How many states the policies have, draining ones left out.
    pub(crate) fn states(&self) -> usize {
        self.slots.values().map(|slot| slot.compiled.rows.len()).sum()
    }

    /// The binaries that are to be found, in the order of [`PolicySet::numbers`]. With
    /// `may_be_absent` each of them may be missing.
    pub(crate) fn wanted(&self, may_be_absent: bool) -> Vec<Wanted<'_>> {
        let everywhere: BTreeSet<&str> = self
            .slots
            .values()
            .filter(|slot| slot.policy.cgroup.is_none())
            .map(|slot| slot.policy.binary.whole())
            .collect();
        let wanted = |binary: &'_ String| {
            // A binary that is only bound in a cgroup may be in a container's file system only.
            may_be_absent || !everywhere.contains(binary.as_str())
        };
        self.binaries
            .keys()
            .map(|binary| Wanted { binary, may_be_absent: wanted(binary) })
            .collect()
    }

    /// The numbers of the binaries, by their indices in the order of their paths; 0 for an index
    /// that there is not.
    pub(crate) fn numbers(&self) -> impl Fn(usize) -> u32 {
        let numbers: Vec<u32> = self.binaries.values().copied().collect();
        move |index| numbers.get(index).copied().unwrap_or(0)
    }

    /// Whether a policy is for a cgroup.
    pub(crate) fn uses_cgroups(&self) -> bool {
        !self.cgroups.is_empty()
    }

    /// Whether a policy is for every binary of a cgroup.
    pub(crate) fn binds_any(&self) -> bool {
        self.slots.values().any(|slot| slot.policy.binary == ANY_BINARY)
    }

    /// The entries of the maps `cgroups` and `selected` (`bpf/select.h`).
    pub(crate) fn selection(&self) -> (Entries, Entries) {
        let words = |words: [u32; 2]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let number = |of: &BTreeMap<String, u32>, name: &str| of.get(name).copied().unwrap_or(0);
        let cgroups =
            self.cgroups.iter().map(|(path, n)| (cgroup_key(path), n.to_ne_bytes().to_vec()));
        let selected = self.slots.iter().map(|(policy, slot)| {
            let cgroup =
                slot.policy.cgroup.as_ref().map_or(0, |path| number(&self.cgroups, path.whole()));
            (
                words([number(&self.binaries, slot.policy.binary.whole()), cgroup]),
                policy.to_ne_bytes().to_vec(),
            )
        });
        (cgroups.collect(), selected.collect())
    }
}

impl Slot {
    /// The policy under this number, as the maps have it.
    fn loaded(&self, number: u32) -> LoadedPolicy<'_> {
        LoadedPolicy { number, compiled: &self.compiled, effective: self.effective }
    }
}

/// Numbers names. A name that has a number keeps it. A number that was in use before gets no new
/// name: the kernel may still have it under the name before.
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
pub(crate) mod tests {
    use super::*;
    use crate::policy::parse;

    pub(crate) fn policy(binary: &str, cgroup: Option<&str>, transitions: &str) -> Policy {
        let cgroup = cgroup.map_or(String::new(), |path| format!(r#""cgroup": "{path}", "#));
        parse(
            format!(
                r#"{{"sysfsm": 1, "binary": "{binary}", {cgroup}"transitions": {{{transitions}}}}}"#
            )
            .as_bytes(),
        )
        .unwrap()
    }

    pub(crate) fn after(policy_set: &PolicySet, policies: &[Policy]) -> (PolicySet, Change) {
        policy_set.next(policies, &vec![EffectivePolicy::default(); policies.len()])
    }

    #[test]
    fn what_stays_the_same_keeps_its_number_and_its_rows() {
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
    fn a_draining_policy_retires_when_no_thread_is_in_it() {
        let a = policy("/a", None, r#""execve": ["brk"]"#);
        let (first, _) = after(&PolicySet::default(), &[a]);
        let (mut second, change) = after(&first, &[policy("/a", None, r#""execve": ["mmap"]"#)]);
        second.clear_rows(&change);
        let (held, free) = (BTreeSet::from([1]), BTreeSet::new());
        assert!(second.retire(&free).is_empty() && second.retire(&held).is_empty());
        assert!(second.retire(&free).is_empty());
        assert_eq!(second.retire(&free).len(), 1);
        assert_eq!(second.draining(), 0);
    }
}
