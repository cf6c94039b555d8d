//! What differs between two policies of one binary, and what of it allows more
//! (docs/policy-format.md, "Comparing").

use crate::machine::{Context, Depth, Machine};
use crate::policy::action::{Action, Children};
use crate::policy::definition::Policy;
use crate::syscall::{nr, Symbol};
use crate::text::UntrustedText;

/// One difference, from the first policy to the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub change: Change,
    /// Whether the second policy allows something by it that the first does not.
    pub widens: bool,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The depth.
    Depth(Depth, Depth),
    /// The action.
    Action(Action, Action),
    /// What becomes of children.
    Children(Children, Children),
    /// Where it holds.
    Cgroup(Option<UntrustedText>, Option<UntrustedText>),
    /// A thread whose past is not known may make a call that it could not.
    Adopted(Symbol),
    /// A transition that only the second has.
    Gained(Context, Symbol),
    /// A transition that only the first has.
    Lost(Context, Symbol),
}

impl Policy {
    /// What is different in `other`. Counts are not compared: they allow nothing.
    #[must_use]
    pub fn differences(&self, other: &Policy) -> Vec<Difference> {
        let (old, new) = (&self.machine, &other.machine);
        let mut list = Vec::new();
        let mut add = |change, widens| list.push(Difference { change, widens });
        if old.depth() != new.depth() {
            // With less of the past in view more presents are alike.
            add(Change::Depth(old.depth(), new.depth()), new.depth() < old.depth());
        }
        if self.action != other.action {
            add(
                Change::Action(self.action, other.action),
                leniency(other.action) > leniency(self.action),
            );
        }
        if self.children != other.children {
            add(
                Change::Children(self.children, other.children),
                other.children == Children::Release,
            );
        }
        if self.cgroup != other.cgroup {
            // Elsewhere nothing is held to it any more.
            add(Change::Cgroup(self.cgroup.clone(), other.cgroup.clone()), other.cgroup.is_some());
        }
        let gained = new.refused_by(old);
        for symbol in newly_adopted(old, new) {
            // A symbol of a gained transition is listed with the transition.
            if !gained.iter().any(|(_, read)| *read == symbol) {
                add(Change::Adopted(symbol), true);
            }
        }
        for (context, symbol) in gained {
            add(Change::Gained(context, symbol), !free(symbol));
        }
        for (context, symbol) in old.refused_by(new) {
            add(Change::Lost(context, symbol), false);
        }
        list
    }
}

fn leniency(action: Action) -> u8 {
    match action {
        Action::Kill => 0,
        Action::Deny => 1,
        Action::Log => 2,
    }
}

/// Whether no policy needs to allow it.
fn free(symbol: Symbol) -> bool {
    matches!(symbol, Symbol::Call(nr::EXIT | nr::EXIT_GROUP | nr::RT_SIGRETURN))
}

fn newly_adopted(old: &Machine, new: &Machine) -> Vec<Symbol> {
    let known = old.alphabet();
    new.alphabet().into_iter().filter(|s| !known.contains(s) && !free(*s)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::parse;

    fn policy(rest: &str) -> Policy {
        parse(format!(r#"{{"sysfsm": 1, "binary": "/bin/x", {rest}}}"#).as_bytes()).unwrap()
    }

    fn widens(a: &str, b: &str) -> Vec<bool> {
        policy(a).differences(&policy(b)).iter().map(|d| d.widens).collect()
    }

    const BASE: &str = r#""transitions": {"execve": ["brk", "mmap"], "brk": ["mmap"]}"#;

    #[test]
    fn counts_are_no_difference() {
        let counted = r#""runs": 3, "transitions": {"execve": {"brk": {"calls": 2, "runs": 1}, "mmap": {}}, "brk": ["mmap"]}"#;
        assert!(widens(BASE, counted).is_empty() && widens(BASE, BASE).is_empty());
    }

    #[test]
    fn a_gained_transition_widens_and_a_lost_one_does_not() {
        let more = r#""transitions": {"execve": ["brk", "mmap"], "brk": ["mmap", "execve"]}"#;
        assert_eq!(widens(BASE, more), [true]);
        assert_eq!(widens(more, BASE), [false]);
    }

    #[test]
    fn what_is_always_allowed_widens_nothing() {
        for symbol in ["exit", "exit_group", "rt_sigreturn"] {
            let more = format!(
                r#""transitions": {{"execve": ["brk", "mmap"], "brk": ["mmap", "{symbol}"]}}"#
            );
            assert_eq!(widens(BASE, &more), [false], "{symbol}");
        }
        // But a context before it is a symbol that a running thread may make from now on.
        let context =
            r#""transitions": {"execve": ["brk", "mmap"], "brk": ["mmap"], "ptrace": ["exit"]}"#;
        assert_eq!(widens(BASE, context), [true, false]);
    }

    #[test]
    fn a_weaker_action_and_released_children_widen() {
        let order = ["kill", "deny", "log"];
        for (i, from) in order.iter().enumerate() {
            for (j, to) in order.iter().enumerate().filter(|(j, _)| *j != i) {
                let with = |action: &str| format!(r#""action": "{action}", {BASE}"#);
                assert_eq!(widens(&with(from), &with(to)), [j > i], "{from} to {to}");
            }
        }
        let inherit = format!(r#""children": "inherit", {BASE}"#);
        assert_eq!((widens(&inherit, BASE), widens(BASE, &inherit)), (vec![true], vec![false]));
    }

    #[test]
    fn a_shallower_depth_widens_and_a_deeper_one_does_not() {
        let triples =
            r#""depth": 3, "transitions": {"execve": ["brk", "mmap"], "execve brk": ["mmap"]}"#;
        assert_eq!(widens(BASE, triples), [false]);
        assert_eq!(widens(triples, BASE), [true]);
        let beyond = r#""depth": 3, "transitions": {"execve": ["brk"], "execve brk": ["mmap"], "brk mmap": ["brk"]}"#;
        assert_eq!(widens(BASE, beyond), [false, true]);
    }
}
