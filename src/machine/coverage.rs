//! How complete a machine is: the probability that the next run shows a transition that the machine
//! lacks. docs/coverage.md has the formulas, their sources and a measurement of how well they do.

use super::automaton::Machine;
use super::context::Context;
use std::collections::BTreeMap;

/// The confidence level of the intervals.
pub const CONFIDENCE: f64 = 0.95;

/// The normal quantile of [`CONFIDENCE`], squared, for twice the binomial variance. Not only the
/// share of novel runs varies with the runs that were seen, but also the probability itself.
const Z_SQUARED: f64 = 2.0 * 1.959_964 * 1.959_964;

/// How complete a machine is, by its counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// Runs that the machine was learned from.
    pub runs: u64,
    /// Calls that were counted.
    pub calls: u64,
    /// Transitions of the machine.
    pub transitions: u64,
    /// Transitions that were seen in one run only.
    pub seen_once: u64,
    /// Transitions that were seen in two runs.
    pub seen_twice: u64,
    /// The probability that the next run shows a new transition, or why there is no estimate.
    pub novelty: Result<Probability, NoEstimate>,
}

/// An estimated probability, and its interval at the level [`CONFIDENCE`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probability {
    /// The estimate.
    pub estimate: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// Why there is no estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEstimate {
    /// There are fewer than two runs, so that none can be compared with another one.
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
    /// The coverage of a machine that was learned from this number of runs.
    #[must_use]
    pub fn of(machine: &Machine, runs: u64) -> Self {
        let counts = || machine.rows().flat_map(|(_, row)| row.values());
        let seen_in = |wanted| counts().filter(|c| c.runs == wanted).count() as u64;
        let most = counts().map(|c| c.runs).max().unwrap_or(0);
        let novelty = if runs < 2 {
            Err(NoEstimate::TooFewRuns)
        } else if most == 0 {
            Err(NoEstimate::NoCounts)
        } else if most > runs {
            Err(NoEstimate::Contradiction)
        } else {
            Ok(probability(novel_runs(machine, runs), runs))
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

/// Bounds on the number of novel runs: runs that showed a transition which no other run showed.
///
/// The counts do not say which run showed a transition. So the transitions that were seen in one
/// run are put into groups, each of transitions that probably come from one run. The groups are
/// counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NovelRuns {
    /// The count where doubtful transitions are put together.
    few: u64,
    /// The count where doubtful transitions are kept apart.
    many: u64,
}

/// The transitions that end in a state or start from it.
#[derive(Default)]
struct Neighbours {
    /// Transitions to the state that were seen in one run, by their numbers.
    to: Vec<usize>,
    /// Transitions from the state that were seen in one run, by their numbers.
    from: Vec<usize>,
    /// The runs of the commonest transition to or from the state.
    most: u64,
}

fn novel_runs(machine: &Machine, runs: u64) -> NovelRuns {
    let mut states: BTreeMap<Context, Neighbours> = BTreeMap::new();
    let mut singles = 0;
    for (context, row) in machine.rows() {
        for (symbol, count) in row {
            let next = context.then(*symbol, machine.depth());
            for (state, leaves) in [(*context, true), (next, false)] {
                let neighbours = states.entry(state).or_default();
                neighbours.most = neighbours.most.max(count.runs);
                if count.runs == 1 {
                    if leaves { &mut neighbours.from } else { &mut neighbours.to }.push(singles);
                }
            }
            singles += usize::from(count.runs == 1);
        }
    }
    // A state that only one run ever reached joins all its transitions into one group. A state that
    // other runs reached too joins the transitions to it with those from it. That gives the smaller
    // count. In a common state most such pairs come from different runs, which gives the larger
    // one.
    let mut few = Groups::new(singles);
    let mut many = Groups::new(singles);
    for state in states.values() {
        let own = state.most == 1;
        let path = !state.to.is_empty() && !state.from.is_empty();
        let rare = state.most.saturating_mul(2) <= runs;
        let members = || state.to.iter().chain(&state.from).copied();
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

fn probability(novel: NovelRuns, runs: u64) -> Probability {
    let total = real(runs);
    let few = real(novel.few.min(runs)) / total;
    // Groups that come from runs by chance come from the same run now and then.
    let many = few.max(1.0 - (1.0 - 1.0 / total).powf(real(novel.many)));
    Probability {
        estimate: f64::midpoint(few, many),
        low: wilson(few, total, -1.0),
        high: wilson(real(novel.many.min(runs)) / total, total, 1.0),
    }
}

/// Wilson's bound of a share that was seen in a number of trials: the lower bound with the sign -1,
/// the upper bound with the sign 1.
fn wilson(share: f64, trials: f64, sign: f64) -> f64 {
    // Rounding must not move the end of an interval that begins at 0 or ends at 1.
    if (share <= 0.0 && sign < 0.0) || (share >= 1.0 && sign > 0.0) {
        return share.clamp(0.0, 1.0);
    }
    let shift = Z_SQUARED / trials;
    let spread = (shift * (share * (1.0 - share) + shift / 4.0)).sqrt();
    ((share + shift / 2.0 + sign * spread) / (1.0 + shift)).clamp(0.0, 1.0)
}

/// A count as a number with a point: exact up to four billion, which every larger count becomes.
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
        if a != b
            && let Some(slot) = self.parents.get_mut(a)
        {
            *slot = b;
            self.count -= 1;
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
    fn it_counts_transitions_and_calls() {
        let coverage = Coverage::of(
            &with(&[("read", "mmap", 1), ("close", "mmap", 2), ("read", "brk", 0)]),
            10,
        );
        assert_eq!((coverage.runs, coverage.calls, coverage.transitions), (10, 64, 6));
        assert_eq!((coverage.seen_once, coverage.seen_twice), (1, 1));
    }

    #[test]
    fn counts_that_are_not_enough_give_no_estimate() {
        for runs in [0, 1] {
            assert_eq!(
                Coverage::of(&machine(&[("execve", "brk", 1)]), runs).novelty,
                Err(NoEstimate::TooFewRuns)
            );
        }
        assert_eq!(
            Coverage::of(&machine(&[("execve", "brk", 0)]), 5).novelty,
            Err(NoEstimate::NoCounts)
        );
        assert_eq!(Coverage::of(&machine(&[]), 5).novelty, Err(NoEstimate::NoCounts));
        assert_eq!(
            Coverage::of(&machine(&[("execve", "brk", 6)]), 5).novelty,
            Err(NoEstimate::Contradiction)
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
    fn an_allow_list_has_no_paths() {
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
                    let Probability { estimate, low, high } =
                        probability(NovelRuns { few, many }, runs);
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
    fn nothing_new_in_more_runs_lowers_the_probability() {
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
