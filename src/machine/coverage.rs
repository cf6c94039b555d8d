//! How complete a machine is: the chance that the next run shows a transition that it lacks. The
//! formulas, their sources and how well they do are in docs/coverage.md.

use super::automaton::Machine;
use super::context::Context;
use std::collections::BTreeMap;

/// The level of the intervals.
pub const LEVEL: f64 = 0.95;

/// The normal quantile of [`LEVEL`], squared, for twice the binomial variance: the chance that is
/// estimated varies with the runs that were seen, and not only the share of them that were novel.
const Z_SQUARED: f64 = 2.0 * 1.959_964 * 1.959_964;

/// What a machine's counts tell of how complete it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Runs that it was learned from.
    pub runs: u64,
    /// Calls that were counted.
    pub calls: u64,
    /// Its transitions.
    pub transitions: u64,
    /// Those that were seen in one run only.
    pub seen_once: u64,
    /// Those that were seen in two.
    pub seen_twice: u64,
    /// The chance that the next run shows something new, or why it cannot be told.
    pub novelty: Result<Chance, Untold>,
}

/// A probability, and the interval in which it is at [`LEVEL`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// The estimate.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Why there is no estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    /// Nothing can be compared.
    #[error("that takes two runs or more")]
    TooFewRuns,
    /// No transition says in how many runs it was seen.
    #[error("its transitions have no counts of runs")]
    NoCounts,
    /// A transition was seen in more runs than there were.
    #[error("a transition has more runs than the policy")]
    Contradiction,
}

impl Coverage {
    /// Of a machine that was learned from so many runs.
    #[must_use]
    pub fn of(machine: &Machine, runs: u64) -> Self {
        let counts = || machine.rows().flat_map(|(_, row)| row.values());
        let seen_in = |wanted| counts().filter(|c| c.runs == wanted).count() as u64;
        let most = counts().map(|c| c.runs).max().unwrap_or(0);
        let novelty = if runs < 2 {
            Err(Untold::TooFewRuns)
        } else if most == 0 {
            Err(Untold::NoCounts)
        } else if most > runs {
            Err(Untold::Contradiction)
        } else {
            Ok(chance(novel_runs(machine, runs), runs))
        };
        Coverage {
            runs,
            calls: counts().fold(0, |sum, c| sum.saturating_add(c.calls)),
            transitions: machine.transitions() as u64,
            seen_once: seen_in(1),
            seen_twice: seen_in(2),
            novelty,
        }
    }
}

/// Between how many groups the transitions that one run only has shown can be divided: a group's
/// come from one run. So this is about how many runs were novel: had shown something that no other
/// one did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NovelRuns {
    few: u64,
    many: u64,
}

/// What is known of a state: the transitions to and from it that were seen once, and the runs of
/// the commonest one.
#[derive(Default)]
struct Touch {
    to: Vec<usize>,
    from: Vec<usize>,
    most: u64,
}

fn novel_runs(machine: &Machine, runs: u64) -> NovelRuns {
    let mut states: BTreeMap<Context, Touch> = BTreeMap::new();
    let mut singles = 0;
    for (context, row) in machine.rows() {
        for (symbol, count) in row {
            let next = context.then(*symbol, machine.depth());
            for (state, leaves) in [(*context, true), (next, false)] {
                let touch = states.entry(state).or_default();
                touch.most = touch.most.max(count.runs);
                if count.runs == 1 {
                    if leaves { &mut touch.from } else { &mut touch.to }.push(singles);
                }
            }
            singles += usize::from(count.runs == 1);
        }
    }
    // A state in which only one run ever was joins all that touches it. One that others know too
    // joins what leads to it with what leads on: surely few groups; where it is common, most of
    // these are chance.
    let mut few = Groups::new(singles);
    let mut many = Groups::new(singles);
    for touch in states.values() {
        let own = touch.most == 1;
        let path = !touch.to.is_empty() && !touch.from.is_empty();
        let rare = touch.most.saturating_mul(2) <= runs;
        let members = || touch.to.iter().chain(&touch.from).copied();
        for (a, b) in members().zip(members().skip(1)) {
            if own || path {
                few.join(a, b);
            }
            if own || (path && rare) {
                many.join(a, b);
            }
        }
    }
    NovelRuns { few: few.count, many: many.count }
}

fn chance(novel: NovelRuns, runs: u64) -> Chance {
    let total = real(runs);
    let few = real(novel.few.min(runs)) / total;
    // Groups that fall to runs by chance fall to the same one now and then.
    let many = few.max(1.0 - (1.0 - 1.0 / total).powf(real(novel.many)));
    Chance {
        estimate: f64::midpoint(few, many),
        low: wilson(few, total, -1.0),
        high: wilson(real(novel.many.min(runs)) / total, total, 1.0),
    }
}

/// Wilson's bound of a share that was seen in so many trials: the lower one with the sign -1, the
/// upper one with 1.
fn wilson(share: f64, trials: f64, sign: f64) -> f64 {
    // Rounding would leave a hair of an interval that begins at 0 or ends at 1.
    if (share <= 0.0 && sign < 0.0) || (share >= 1.0 && sign > 0.0) {
        return share.clamp(0.0, 1.0);
    }
    let shift = Z_SQUARED / trials;
    let spread = (shift * (share * (1.0 - share) + shift / 4.0)).sqrt();
    ((share + shift / 2.0 + sign * spread) / (1.0 + shift)).clamp(0.0, 1.0)
}

/// Exact up to four billion; past that a count is as good as endless.
fn real(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Disjoint sets of the numbers below `parents.len()`.
struct Groups {
    parents: Vec<usize>,
    count: u64,
}

impl Groups {
    fn new(members: usize) -> Self {
        Groups { parents: (0..members).collect(), count: members as u64 }
    }

    fn root(&mut self, mut member: usize) -> usize {
        while let Some(&parent) = self.parents.get(member).filter(|p| **p != member) {
            let grandparent = self.parents.get(parent).copied().unwrap_or(parent);
            if let Some(slot) = self.parents.get_mut(member) {
                *slot = grandparent;
            }
            member = grandparent;
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            if let Some(slot) = self.parents.get_mut(a) {
                *slot = b;
                self.count -= 1;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::machine::context::Depth;
    use crate::machine::count::Count;

    /// A machine of pairs out of `from to runs` triples.
    fn machine(transitions: &[(&str, &str, u64)]) -> Machine {
        let mut machine = Machine::new(Depth::PAIRS);
        for (from, to, runs) in transitions {
            let count = Count { calls: 2 * runs, runs: *runs };
            machine.insert(from.parse().unwrap(), to.parse().unwrap(), count);
        }
        machine
    }

    const KNOWN: [(&str, &str, u64); 3] =
        [("execve", "brk", 10), ("brk", "read", 10), ("read", "close", 9)];

    fn with(more: &[(&str, &str, u64)]) -> Machine {
        machine(&[&KNOWN, more].concat())
    }

    #[test]
    fn it_counts_what_it_is_told() {
        let coverage = Coverage::of(
            &with(&[("read", "mmap", 1), ("close", "mmap", 2), ("read", "brk", 0)]),
            10,
        );
        assert_eq!((coverage.runs, coverage.calls, coverage.transitions), (10, 64, 6));
        assert_eq!((coverage.seen_once, coverage.seen_twice), (1, 1));
    }

    #[test]
    fn what_the_counts_cannot_tell_is_not_told() {
        for runs in [0, 1] {
            assert_eq!(
                Coverage::of(&machine(&[("execve", "brk", 1)]), runs).novelty,
                Err(Untold::TooFewRuns)
            );
        }
        assert_eq!(
            Coverage::of(&machine(&[("execve", "brk", 0)]), 5).novelty,
            Err(Untold::NoCounts)
        );
        assert_eq!(Coverage::of(&machine(&[]), 5).novelty, Err(Untold::NoCounts));
        assert_eq!(
            Coverage::of(&machine(&[("execve", "brk", 6)]), 5).novelty,
            Err(Untold::Contradiction)
        );
    }

    #[test]
    fn a_new_path_through_states_of_its_own_is_one_run_s_novelty() {
        let path =
            with(&[("read", "socket", 1), ("socket", "connect", 1), ("connect", "close", 1)]);
        assert_eq!(novel_runs(&path, 10), NovelRuns { few: 1, many: 1 });
    }

    #[test]
    fn new_edges_between_common_states_may_be_one_run_s_or_as_many() {
        let edges = with(&[("brk", "close", 1), ("close", "read", 1)]);
        assert_eq!(novel_runs(&edges, 10), NovelRuns { few: 1, many: 2 });
        let forks = with(&[("brk", "close", 1), ("brk", "lseek", 1)]);
        assert_eq!(novel_runs(&forks, 10), NovelRuns { few: 2, many: 2 });
    }

    #[test]
    fn an_allow_list_tells_no_paths() {
        let mut list = Machine::new(Depth::all().next().unwrap());
        for (symbol, runs) in [("read", 10), ("write", 1), ("close", 1), ("brk", 1)] {
            list.insert(Context::EMPTY, symbol.parse().unwrap(), Count { calls: runs, runs });
        }
        assert_eq!(novel_runs(&list, 10), NovelRuns { few: 1, many: 3 });
    }

    #[test]
    fn the_estimate_is_inside_its_interval_and_all_are_probabilities() {
        for runs in [2, 3, 10, 1000, u64::MAX] {
            for many in [0, 1, 2, 9, 10, 500, 100_000] {
                for few in [0, 1, 5, many] {
                    let few = few.min(many);
                    let Chance { estimate, low, high } = chance(NovelRuns { few, many }, runs);
                    let order = [0.0, low, estimate, high, 1.0];
                    assert!(
                        order.windows(2).all(|w| w[0] <= w[1] + 1e-9),
                        "{few} {many} of {runs}: {order:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_new_in_more_runs_leaves_less_chance() {
        let high =
            |runs| Coverage::of(&machine(&[("execve", "brk", runs)]), runs).novelty.unwrap().high;
        assert!(high(2) > 0.7 && high(10) < 0.5 && high(100) < 0.08 && high(1000) < 0.008);
    }

    #[test]
    fn wilson_s_bounds_are_the_known_ones() {
        // Ten of twenty at twice the variance is five of ten at once: 0.2366 to 0.7634.
        assert!((wilson(0.5, 20.0, -1.0) - 0.236_6).abs() < 1e-4);
        assert!((wilson(0.5, 20.0, 1.0) - 0.763_4).abs() < 1e-4);
        for trials in [2.0, 7.0, 25.0, 1e6] {
            assert!(wilson(0.0, trials, -1.0) <= 0.0 && wilson(1.0, trials, 1.0) >= 1.0);
        }
    }
}
