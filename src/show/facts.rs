//! What a policy says of itself, for the head of a page.

use super::scale::grouped;
use crate::machine::{Coverage, CONFIDENCE};
use crate::policy::{Children, Policy};

/// Name and value of each fact, in the order in which they are shown; the binary is the title.
pub(super) fn facts(policy: &Policy) -> Vec<(&'static str, String)> {
    let machine = &policy.machine;
    let coverage = Coverage::of(machine, policy.runs);
    let mut facts =
        vec![("depth", machine.depth().to_string()), ("action", policy.action.to_string())];
    if let Some(cgroup) = &policy.cgroup {
        facts.insert(0, ("cgroup", cgroup.to_string()));
    }
    if policy.children != Children::default() {
        facts.push(("children", policy.children.as_str().into()));
    }
    if policy.runs > 0 {
        facts.push(("runs", grouped(policy.runs)));
    }
    facts.push(("states", grouped(machine.rows().len() as u64)));
    facts.push(("transitions", grouped(machine.transitions() as u64)));
    facts.push(("symbols", grouped(machine.alphabet().len() as u64)));
    if coverage.calls > 0 {
        facts.push(("counted calls", grouped(coverage.calls)));
        facts.push(("seen in one run only", grouped(coverage.seen_once)));
    }
    let new = match coverage.novelty {
        Ok(chance) => {
            format!(
                "{:.2} ({:.0}%: {:.2} to {:.2})",
                chance.estimate,
                CONFIDENCE * 100.0,
                chance.low,
                chance.high
            )
        }
        Err(reason) => format!("cannot be estimated: {reason}"),
    };
    facts.push(("chance of something new in the next run", new));
    facts
}
