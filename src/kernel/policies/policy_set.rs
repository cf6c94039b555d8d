//! Which policies are in the kernel, and under which numbers: as they come, replace each other, and
//! go.

use crate::kernel::bpf::entries::Entries;
use crate::kernel::identity::binaries::Wanted;
use crate::kernel::policies::fill::{Placed, Sizes, Terms};
use crate::kernel::policies::selection::cgroup_key;
use crate::policy::{Policy, Subject, ANY_BINARY};
use crate::table::{arrivals, Arrival, Laid, State, Table};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::Arc;

/// A policy in its place.
#[derive(Debug)]
pub(crate) struct Seat {
    pub policy: Arc<Policy>,
    pub terms: Terms,
    pub laid: Laid,
}

/// One that has gone, while threads may still be in its states: they go on under the successor when
/// they make a call.
#[derive(Debug, Clone)]
struct Former {
    seat: Arc<Seat>,
    /// None: its threads are not watched any more.
    successor: Option<u32>,
    /// How often no thread was seen in it, one look after another.
    missed: u8,
}

/// A former policy that no thread is in any more. The kernel still knows where its threads went on.
#[derive(Debug)]
pub(crate) struct Gone {
    pub number: u32,
    pub seat: Arc<Seat>,
    pub successor: Option<u32>,
}

/// The policies, by their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lineup {
    table: Table,
    seats: BTreeMap<u32, Arc<Seat>>,
    former: BTreeMap<u32, Former>,
    /// The numbers of the binaries that policies name, and of their cgroups.
    binaries: BTreeMap<String, u32>,
    cgroups: BTreeMap<String, u32>,
}

/// What a next lineup has that the one before has not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The numbers of new policies.
    pub added: Vec<u32>,
    /// The numbers of those that have gone.
    pub gone: Vec<u32>,
    /// Where the threads of former ones went on before, if that is another policy by now.
    stale: Vec<(u32, Option<u32>)>,
}

/// A lineup, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    seats: Vec<SavedSeat>,
    former: Vec<SavedSeat>,
    binaries: BTreeMap<String, u32>,
    cgroups: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedSeat {
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    successor: Option<u32>,
    /// Of a former one: how many looks have found no thread in it.
    #[serde(default)]
    missed: u8,
    policy: serde_json::Value,
    places: Vec<State>,
}

/// After so many looks that find no thread in it a former policy is forgotten. One could miss a
/// thread: born of another one behind the look, which moves before the look comes to it.
const LOOKS: u8 = 2;

impl Lineup {
    /// The lineup of these policies after this one: what stays the same keeps its number and its
    /// place.
    pub(crate) fn next(&self, policies: &[Policy], terms: &[Terms]) -> (Lineup, Change) {
        let mut next = self.clone();
        let mut change = Change::default();
        let mut before: BTreeMap<Subject, u32> =
            self.seats.iter().map(|(&number, seat)| (seat.policy.subject(), number)).collect();
        let mut coming = Vec::new();
        for (policy, &terms) in policies.iter().zip(terms) {
            let number = before.remove(&policy.subject());
            let seat = number.and_then(|number| self.seats.get(&number));
            if seat.is_none_or(|seat| *seat.policy != *policy || seat.terms != terms) {
                coming.push((policy, terms, number));
            }
        }
        let machines: Vec<_> = coming.iter().map(|(policy, ..)| &policy.machine).collect();
        for ((policy, terms, replaced), laid) in coming.iter().zip(next.table.lay(&machines)) {
            let number = next.free_number();
            let seat = Seat { policy: Arc::new((*policy).clone()), terms: *terms, laid };
            next.seats.insert(number, Arc::new(seat));
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
    fn go(&mut self, number: u32, successor: Option<u32>, change: &mut Change) {
        let Some(seat) = self.seats.remove(&number) else { return };
        for (&other, former) in &mut self.former {
            if former.successor == Some(number) {
                change.stale.push((other, former.successor));
                former.successor = successor;
            }
        }
        self.former.insert(number, Former { seat, successor, missed: 0 });
        change.gone.push(number);
    }

    fn free_number(&self) -> u32 {
        let taken =
            |number: &u32| self.seats.contains_key(number) || self.former.contains_key(number);
        (1..u32::MAX).find(|number| !taken(number)).unwrap_or(u32::MAX)
    }

    /// Numbers binaries and cgroups: those that have a number keep it.
    fn number_names(&mut self) {
        let policies = || self.seats.values().map(|seat| &seat.policy);
        let binaries =
            policies().map(|p| p.binary.as_str()).filter(|binary| *binary != ANY_BINARY).collect();
        let binaries = numbered(&self.binaries, binaries);
        let cgroups =
            numbered(&self.cgroups, policies().filter_map(|p| p.cgroup.as_deref()).collect());
        (self.binaries, self.cgroups) = (binaries, cgroups);
    }

    /// Takes the rows of the policies that have gone out of the table, as the kernel's is without
    /// them.
    pub(crate) fn lift(&mut self, change: &Change) {
        for number in &change.gone {
            if let Some(former) = self.former.get(number) {
                self.table.lift(&former.seat.laid);
            }
        }
    }

    /// What the kernel's maps have to hold while threads move.
    pub(crate) fn sizes(&self, change: &Change) -> Sizes {
        let gone = change.gone.iter().filter_map(|number| self.placed(*number));
        let mut sizes = Sizes::of(self.table.cells(), self.all().chain(gone));
        let former = self.former.values().map(|former| former.seat.laid.rows.len());
        // Those of the successor before are there for a moment longer.
        sizes.arrivals = 2 * former.sum::<usize>();
        sizes
    }

    /// The policies, ready for the maps.
    pub(crate) fn all(&self) -> impl Iterator<Item = Placed<'_>> {
        self.seats.iter().map(|(&number, seat)| seat.placed(number))
    }

    /// One of them, or a former one.
    pub(crate) fn placed(&self, number: u32) -> Option<Placed<'_>> {
        let former = || self.former.get(&number).map(|former| &former.seat);
        self.seats.get(&number).or_else(former).map(|seat| seat.placed(number))
    }

    /// The policies that have gone, and former ones that have another successor now, each with who
    /// it is.
    pub(crate) fn successions<'a>(
        &'a self,
        change: &'a Change,
    ) -> impl Iterator<Item = (u32, Option<u32>)> + 'a {
        let moved = change.stale.iter().map(|stale| stale.0);
        let all = change.gone.iter().copied().chain(moved);
        all.filter_map(|number| Some((number, self.former.get(&number)?.successor)))
    }

    /// Where the threads of a former policy's states go on in its successor.
    pub(crate) fn arrivals(&self, former: u32, successor: u32) -> Vec<(State, Arrival)> {
        let (from, to) = (self.former.get(&former), self.seats.get(&successor));
        from.zip(to)
            .map(|(from, to)| arrivals(&from.seat.laid, &to.laid, &to.policy.machine))
            .unwrap_or_default()
    }

    /// Where the threads of former policies do not go on any more.
    pub(crate) fn stale<'a>(&'a self, change: &'a Change) -> impl Iterator<Item = (&'a Laid, u32)> {
        change
            .stale
            .iter()
            .filter_map(|(number, before)| Some((&self.former.get(number)?.seat.laid, (*before)?)))
    }

    /// Forgets former policies in which no thread is any more, `held` being those in which there is
    /// one now.
    pub(crate) fn forget(&mut self, held: &BTreeSet<u32>) -> Vec<Gone> {
        let mut gone = Vec::new();
        let table = &mut self.table;
        self.former.retain(|number, former| {
            former.missed = if held.contains(number) { 0 } else { former.missed + 1 };
            let stays = former.missed < LOOKS;
            if !stays {
                table.vacate(&former.seat.laid.places);
                let Former { seat, successor, .. } = former.clone();
                gone.push(Gone { number: *number, seat, successor });
            }
            stays
        });
        gone
    }

    /// Every policy that an event may be about.
    pub(crate) fn known(&self) -> impl Iterator<Item = (u32, &Arc<Seat>)> {
        let former = self.former.iter().map(|(&number, former)| (number, &former.seat));
        self.seats.iter().map(|(&number, seat)| (number, seat)).chain(former)
    }

    /// How many threads' former policies there are.
    pub(crate) fn former(&self) -> usize {
        self.former.len()
    }

    /// How many states the policies have.
    pub(crate) fn states(&self) -> usize {
        self.seats.values().map(|seat| seat.laid.rows.len()).sum()
    }

    /// The binaries that are to be found, in the order of [`Lineup::numbers`]; `may_be_absent`: any
    /// of them.
    pub(crate) fn wanted(&self, may_be_absent: bool) -> Vec<Wanted<'_>> {
        let everywhere: BTreeSet<&str> = self
            .seats
            .values()
            .filter(|seat| seat.policy.cgroup.is_none())
            .map(|seat| seat.policy.binary.as_str())
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
        self.seats.values().any(|seat| seat.policy.binary == ANY_BINARY)
    }

    /// The entries of `cgroups` and `selected` (`bpf/select.h`).
    pub(crate) fn selection(&self) -> (Entries, Entries) {
        let words = |words: [u32; 2]| words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let number = |of: &BTreeMap<String, u32>, name: &str| of.get(name).copied().unwrap_or(0);
        let cgroups =
            self.cgroups.iter().map(|(path, n)| (cgroup_key(path), n.to_ne_bytes().to_vec()));
        let selected = self.seats.iter().map(|(policy, seat)| {
            let cgroup =
                seat.policy.cgroup.as_deref().map_or(0, |path| number(&self.cgroups, path));
            (
                words([number(&self.binaries, &seat.policy.binary), cgroup]),
                policy.to_ne_bytes().to_vec(),
            )
        });
        (cgroups.collect(), selected.collect())
    }

    /// What is to be kept of it.
    pub(crate) fn save(&self) -> Saved {
        let saved = |number: u32, seat: &Seat, successor, missed| SavedSeat {
            number,
            successor,
            missed,
            policy: seat.policy.to_value(),
            places: seat.laid.places.clone(),
        };
        Saved {
            seats: self.seats.iter().map(|(number, seat)| saved(*number, seat, None, 0)).collect(),
            former: self
                .former
                .iter()
                .map(|(number, former)| {
                    saved(*number, &former.seat, former.successor, former.missed)
                })
                .collect(),
            binaries: self.binaries.clone(),
            cgroups: self.cgroups.clone(),
        }
    }

    /// A lineup that was kept; `terms` of a policy.
    pub(crate) fn restore(saved: &Saved, terms: impl Fn(&Policy) -> Terms) -> Result<Self, String> {
        let mut lineup = Lineup {
            binaries: saved.binaries.clone(),
            cgroups: saved.cgroups.clone(),
            ..Lineup::default()
        };
        let seats = seats_of(&saved.seats, &mut lineup.table, &terms)?;
        for former in &saved.former {
            // Those have places, and no cells: what they had others may have had after them, and
            // may have now.
            let seat = seats_of(slice::from_ref(former), &mut Table::default(), &terms)?.pop();
            lineup.table.keep(&former.places);
            if let Some(seat) = seat {
                let known = Former { seat, successor: former.successor, missed: former.missed };
                lineup.former.insert(former.number, known);
            }
        }
        lineup.seats = saved.seats.iter().map(|seat| seat.number).zip(seats).collect();
        Ok(lineup)
    }
}

impl Seat {
    fn placed(&self, number: u32) -> Placed<'_> {
        Placed { number, laid: &self.laid, terms: self.terms }
    }
}

impl Saved {
    /// Numbers and policies' binaries and cgroups, former ones included, without reading the
    /// policies.
    pub(crate) fn subjects(&self) -> BTreeMap<u32, Subject> {
        let text = |seat: &SavedSeat, key| Some(seat.policy.get(key)?.as_str()?.to_string());
        let all = self.seats.iter().chain(&self.former);
        all.filter_map(|seat| {
            let subject = Subject { binary: text(seat, "binary")?, cgroup: text(seat, "cgroup") };
            Some((seat.number, subject))
        })
        .collect()
    }

    /// How many former policies there are.
    pub(crate) fn former(&self) -> usize {
        self.former.len()
    }

    /// The numbers of the policies that are enforced.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.seats.iter().map(|seat| seat.number)
    }
}

/// Seats, each where it was in the table.
fn seats_of(
    seats: &[SavedSeat],
    table: &mut Table,
    terms: &impl Fn(&Policy) -> Terms,
) -> Result<Vec<Arc<Seat>>, String> {
    let policies: Vec<Policy> =
        seats.iter().map(|seat| parse(&seat.policy)).collect::<Result<_, String>>()?;
    let where_they_were: Vec<_> =
        policies.iter().zip(seats).map(|(policy, seat)| (&policy.machine, &*seat.places)).collect();
    let laid = table.lay_again(&where_they_were).ok_or("its policies do not fit their places")?;
    let seat = |(policy, laid): (Policy, Laid)| {
        Arc::new(Seat { terms: terms(&policy), policy: Arc::new(policy), laid })
    };
    Ok(policies.into_iter().zip(laid).map(seat).collect())
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

    fn after(lineup: &Lineup, policies: &[Policy]) -> (Lineup, Change) {
        lineup.next(policies, &vec![Terms::default(); policies.len()])
    }

    #[test]
    fn what_stays_the_same_keeps_its_number_and_its_place() {
        let (a, b) = (
            policy("/a", None, r#""execve": ["brk"]"#),
            policy("/b", None, r#""execve": ["brk"]"#),
        );
        let changed = policy("/a", None, r#""execve": ["mmap"]"#);
        let (first, change) = after(&Lineup::default(), &[a.clone(), b.clone()]);
        assert_eq!((&*change.added, &*change.gone), (&[1, 2][..], &[][..]));
        let (mut second, change) = after(&first, &[b.clone(), changed.clone()]);
        assert_eq!((&*change.added, &*change.gone), (&[3][..], &[1][..]));
        second.lift(&change);
        assert_eq!(second.placed(2).unwrap().laid, first.placed(2).unwrap().laid);
        let successors = |lineup: &Lineup, change: &Change| -> Vec<(u32, Option<u32>)> {
            lineup.successions(change).collect()
        };
        assert_eq!(successors(&second, &change), [(1, Some(3))]);
        assert_eq!(after(&second, &[changed.clone(), b.clone()]).1, Change::default());
        // Threads may still be in the first one: it has the newest for its successor, and its
        // number is nobody else's.
        let (third, change) = after(&second, &[a.clone(), b.clone()]);
        assert_eq!((&*change.added, &*change.gone), (&[4][..], &[3][..]));
        assert_eq!(successors(&third, &change), [(3, Some(4)), (1, Some(4))]);
        assert_eq!(third.stale(&change).map(|stale| stale.1).collect::<Vec<_>>(), [3]);
        let (fourth, change) = after(&third, &[b]);
        assert_eq!(successors(&fourth, &change), [(4, None), (1, None), (3, None)]);
    }

    #[test]
    fn a_former_policy_is_forgotten_when_no_thread_is_in_it() {
        let a = policy("/a", None, r#""execve": ["brk"]"#);
        let (first, _) = after(&Lineup::default(), &[a]);
        let (mut second, change) = after(&first, &[policy("/a", None, r#""execve": ["mmap"]"#)]);
        second.lift(&change);
        let (held, free) = (BTreeSet::from([1]), BTreeSet::new());
        assert!(second.forget(&free).is_empty() && second.forget(&held).is_empty());
        assert!(second.forget(&free).is_empty());
        assert_eq!(second.forget(&free).len(), 1);
        assert_eq!(second.former(), 0);
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
        let mut lineup = Lineup::default();
        for binary in ["/a", "/b", "/a", "/b", "/a"] {
            let (next, change) = after(&lineup, &[policy(binary, None, &rows)]);
            lineup = next;
            lineup.lift(&change);
        }
        let restored = Lineup::restore(&lineup.save(), |_| Terms::default()).unwrap();
        assert_eq!(restored.save(), lineup.save());
    }

    #[test]
    fn what_is_kept_comes_back_the_same() {
        let policies = [
            policy("/a", None, r#""execve": ["brk"]"#),
            policy("/a", Some("/x.slice"), r#""execve": ["brk", "mmap"]"#),
            policy("*", Some("/y.slice/z"), r#""execve": ["brk"]"#),
        ];
        let (first, _) = after(&Lineup::default(), &policies);
        let (mut lineup, change) = after(&first, &policies[1..]);
        lineup.lift(&change);
        // Who comes next goes on counting looks.
        lineup.forget(&BTreeSet::new());
        let restored = Lineup::restore(&lineup.save(), |_| Terms::default()).unwrap();
        assert_eq!(restored.save(), lineup.save());
        assert_eq!(restored.selection(), lineup.selection());
        assert_eq!(restored.selection().0.len(), 2);
        assert_eq!((lineup.former(), restored.clone().forget(&BTreeSet::new()).len()), (1, 1));
        let next = [policy("/b", None, r#""execve": ["openat"]"#)];
        assert_eq!(after(&restored, &next).0.save(), after(&lineup, &next).0.save());
        let mut broken = lineup.save();
        broken.seats[1].places = broken.seats[0].places.clone();
        assert!(Lineup::restore(&broken, |_| Terms::default()).is_err());
    }
}
