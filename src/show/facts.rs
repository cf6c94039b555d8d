//! What a policy says of itself, for the head of a page.

use super::scale::grouped;
use crate::policy::{Children, Policy};

/// Name and value of each fact, in the order in which they are shown; the binary is the title.
pub(super) fn facts(policy: &Policy) -> Vec<(&'static str, String)> {
    let machine = &policy.machine;
    let calls =
        machine.rows().flat_map(|(_, row)| row.values()).fold(0_u64, |sum, c| sum.saturating_add(c.calls));
    let mut facts = vec![("depth", machine.depth().to_string()), ("action", policy.action.to_string())];
    if policy.children != Children::default() {
        facts.push(("children", policy.children.as_str().into()));
    }
    if policy.runs > 0 {
        facts.push(("runs", grouped(policy.runs)));
    }
    facts.push(("states", grouped(machine.rows().len() as u64)));
    facts.push(("transitions", grouped(machine.transitions() as u64)));
    facts.push(("symbols", grouped(machine.alphabet().len() as u64)));
    if calls > 0 {
        facts.push(("counted calls", grouped(calls)));
    }
    facts
}
