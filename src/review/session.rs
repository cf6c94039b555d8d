//! Decisions, and what they make of a policy.

use crate::machine::{Context, Count, Machine, Reason};
use crate::policy::Policy;
use crate::review::entry::{Decision, Entry, Key};
use crate::review::log::Part;
use crate::syscall::Symbol;
use std::collections::BTreeSet;

/// What is known of a violation besides itself, for the one who is asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'a> {
    /// Which violation.
    pub key: &'a Key,
    /// What was seen of it.
    pub entry: &'a Entry,
    /// Why no policy can allow it; none if one can.
    pub never: Option<&'static str>,
    /// What the policy knows from this context, the most travelled first.
    pub row: Vec<(Symbol, Count)>,
    /// After which other contexts the policy knows the symbol.
    pub elsewhere: Vec<Context>,
}

/// One policy, and the violations of it that are to be decided.
#[derive(Debug)]
pub struct ReviewSession<'a> {
    policy: &'a Policy,
    part: Part,
    /// Rejected ones are asked about once more.
    again: bool,
    /// What was decided here, in this order.
    decided: Vec<(Key, Decision)>,
}

impl<'a> ReviewSession<'a> {
    /// Lays a policy's violations out; with `again` the rejected ones are open once more.
    #[must_use]
    pub fn new(policy: &'a Policy, part: Part, again: bool) -> Self {
        ReviewSession { policy, part, again, decided: Vec::new() }
    }

    /// The violations.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// What was decided since it was shown.
    #[must_use]
    pub fn decided(&self) -> &[(Key, Decision)] {
        &self.decided
    }

    /// Whether the policy allows it already, whoever taught it that.
    #[must_use]
    pub fn known(&self, key: &Key) -> bool {
        self.transition(key).is_some_and(|(context, symbol)| {
            self.policy.machine.row(&context).is_some_and(|row| row.contains_key(&symbol))
        })
    }

    /// Whether its call was accepted from anywhere, when it was seen somewhere else.
    fn anywhere(&self, key: &Key) -> bool {
        self.never(key).is_none()
            && self.part.entries.iter().any(|(other, entry)| {
                entry.decision == Some(Decision::Anywhere) && other.symbol == key.symbol
            })
    }

    /// Whether nothing has been decided about it yet.
    #[must_use]
    pub fn open(&self, key: &Key) -> bool {
        let Some(entry) = self.part.entries.get(key) else { return false };
        match entry.decision {
            None => !self.known(key) && !self.anywhere(key),
            Some(Decision::Accepted | Decision::Anywhere) => false,
            Some(Decision::Rejected) => {
                self.again && !self.decided.iter().any(|(decided, _)| decided == key)
            }
        }
    }

    /// The violations as they were first seen, one after another.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let mut entries: Vec<(&Key, &Entry)> = self.part.entries.iter().collect();
        entries.sort_by_cached_key(|(key, entry)| {
            (entry.first, key.context.to_string(), key.symbol.clone())
        });
        entries.into_iter().map(|(key, _)| key.clone()).collect()
    }

    /// What is still open, in that order.
    #[must_use]
    pub fn questions(&self) -> Vec<Key> {
        let mut keys = self.keys();
        keys.retain(|key| self.open(key));
        keys
    }

    /// What there is to know about one.
    #[must_use]
    pub fn question(&self, key: &Key) -> Option<Question<'_>> {
        let (key, entry) = self.part.entries.get_key_value(key)?;
        let machine = &self.policy.machine;
        let mut row: Vec<(Symbol, Count)> = machine
            .row(&key.context)
            .map(|row| row.iter().map(|(&s, &c)| (s, c)).collect())
            .unwrap_or_default();
        row.sort_by_key(|(symbol, count)| (std::cmp::Reverse(count.calls), symbol.to_string()));
        let elsewhere = match key.symbol.whole().parse::<Symbol>() {
            Ok(symbol) => {
                let holds = machine.rows().filter(|(_, row)| row.contains_key(&symbol));
                holds.map(|(context, _)| *context).collect()
            }
            Err(_) => Vec::new(),
        };
        Some(Question { key, entry, never: self.never(key), row, elsewhere })
    }

    /// Decides. What no policy can allow is not accepted: false.
    pub fn decide(&mut self, key: &Key, decision: Decision) -> bool {
        if decision != Decision::Rejected && self.never(key).is_some() {
            return false;
        }
        let Some(entry) = self.part.entries.get_mut(key) else { return false };
        entry.decision = Some(decision);
        self.decided.push((key.clone(), decision));
        true
    }

    /// The policy with everything that was accepted, now or earlier, and how many transitions that
    /// adds. What it has already is left as it is, so that doing it again changes nothing.
    #[must_use]
    pub fn apply(&self) -> (Policy, usize) {
        let mut machine: Machine = self.policy.machine.clone();
        let mut anywhere = BTreeSet::new();
        for (key, entry) in &self.part.entries {
            let Some((context, symbol)) = self.transition(key) else { continue };
            match entry.decision {
                Some(Decision::Rejected) => continue,
                Some(Decision::Anywhere) => drop(anywhere.insert(symbol)),
                None if !self.anywhere(key) => continue,
                None | Some(Decision::Accepted) => {}
            }
            if !self.known(key) {
                // In how many runs is not known: in one at least.
                machine.insert(context, symbol, Count { calls: entry.count, runs: 1 });
            }
        }
        // Never seen there. What was rejected stays so.
        let rejected = |context: &Context, symbol: Symbol| {
            let key = Key {
                context: *context,
                symbol: symbol.to_string().into(),
                reason: Reason::Transition,
            };
            self.part.entries.get(&key).is_some_and(|e| e.decision == Some(Decision::Rejected))
        };
        let contexts: Vec<Context> = machine.rows().map(|(context, _)| *context).collect();
        for context in &contexts {
            for &symbol in &anywhere {
                let known = machine.row(context).is_some_and(|row| row.contains_key(&symbol));
                if !known && !rejected(context, symbol) {
                    machine.insert(*context, symbol, Count { calls: 0, runs: 0 });
                }
            }
        }
        let added = machine.transitions() - self.policy.machine.transitions();
        (Policy { machine, ..self.policy.clone() }, added)
    }

    /// The transition that would allow it.
    fn transition(&self, key: &Key) -> Option<(Context, Symbol)> {
        match self.never(key) {
            Some(_) => None,
            None => Some((key.context, key.symbol.whole().parse().ok()?)),
        }
    }

    fn never(&self, key: &Key) -> Option<&'static str> {
        match key.reason {
            Reason::Abi => Some("calls through a foreign ABI are violations, whatever they are"),
            Reason::Sigreturn => {
                Some("a return from a signal handler when none is active is always a violation")
            }
            Reason::Transition if key.symbol.whole().parse::<Symbol>().is_err() => {
                Some("no policy can name this call")
            }
            Reason::Transition if key.context.symbols().is_empty() && self.part.depth.get() > 1 => {
                Some("what the thread had called before was not seen: watch the program from its start")
            }
            Reason::Transition => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::policy::parse;
    use crate::review::test_log::{entry, key, log, selector};

    const POLICY: &str = r#"{"sysfsm": 1, "binary": "/bin/p", "runs": 4, "action": "deny", "children": "inherit",
        "transitions": {"execve": {"brk": {"calls": 4, "runs": 4}}, "brk": ["read", "mmap"]}}"#;

    fn policy() -> Policy {
        parse(POLICY.as_bytes()).unwrap()
    }

    fn part(entries: &[(&str, &str, i64, u64)]) -> Part {
        log(entries).parts.remove(&selector("/bin/p")).unwrap()
    }

    #[test]
    fn what_is_accepted_is_added_once_and_nothing_else_changes() {
        let policy = policy();
        let mut session = ReviewSession::new(
            &policy,
            part(&[("brk", "write", 1, 7), ("read", "brk", 2, 1)]),
            false,
        );
        assert_eq!(session.questions().len(), 2);
        assert!(session.decide(&key("brk", "write"), Decision::Accepted));
        assert!(session.decide(&key("read", "brk"), Decision::Rejected));
        assert!(session.questions().is_empty());
        let (wider, added) = session.apply();
        assert_eq!(added, 1);
        let row = wider.machine.row(&"brk".parse().unwrap()).unwrap();
        assert_eq!(row[&"write".parse().unwrap()], Count { calls: 7, runs: 1 });
        assert_eq!(
            (wider.runs, wider.action, wider.children),
            (policy.runs, policy.action, policy.children)
        );
        // Once more, to the policy that has it.
        let session = ReviewSession::new(&wider, session.part().clone(), false);
        assert_eq!(session.apply(), (wider.clone(), 0));
        assert!(session.questions().is_empty());
    }

    #[test]
    fn what_is_accepted_from_anywhere_may_follow_all_that_the_policy_knows_now_and_later() {
        let policy = policy();
        let seen =
            part(&[("brk", "futex", 1, 7), ("read", "futex", 2, 1), ("mmap", "futex", 2, 1)]);
        let mut session = ReviewSession::new(&policy, seen, false);
        assert!(session.decide(&key("read", "futex"), Decision::Rejected));
        assert!(session.decide(&key("brk", "futex"), Decision::Anywhere));
        // One answer was enough.
        assert!(session.questions().is_empty());
        let (wider, added) = session.apply();
        let counts = |policy: &Policy, context: &str| {
            let row = policy.machine.row(&context.parse().unwrap()).cloned().unwrap_or_default();
            row.get(&"futex".parse().unwrap()).copied()
        };
        assert_eq!(added, 3);
        assert_eq!(counts(&wider, "brk"), Some(Count { calls: 7, runs: 1 }));
        assert_eq!(counts(&wider, "mmap"), Some(Count { calls: 1, runs: 1 }));
        assert_eq!(counts(&wider, "execve"), Some(Count { calls: 0, runs: 0 }));
        assert_eq!(counts(&wider, "read"), None, "it was rejected there");
        // A context that the policy has got meanwhile, and one that nobody has seen yet; after
        // itself it is no transition.
        let mut later = wider.clone();
        for context in ["write", "futex"] {
            later.machine.insert(
                context.parse().unwrap(),
                "brk".parse().unwrap(),
                Count { calls: 1, runs: 1 },
            );
        }
        let mut seen = session.part().clone();
        seen.entries.insert(key("close", "futex"), entry(3, 1));
        let session = ReviewSession::new(&later, seen, false);
        assert!(session.questions().is_empty());
        let (wider, added) = session.apply();
        assert_eq!(added, 2);
        assert!(counts(&wider, "write").is_some() && counts(&wider, "close").is_some());
        assert_eq!(counts(&wider, "futex"), None);
    }

    #[test]
    fn a_rejected_one_is_asked_about_only_again_and_an_accepted_one_never() {
        let policy = policy();
        let mut session = ReviewSession::new(
            &policy,
            part(&[("brk", "write", 1, 7), ("read", "brk", 2, 1)]),
            false,
        );
        session.decide(&key("brk", "write"), Decision::Accepted);
        session.decide(&key("read", "brk"), Decision::Rejected);
        let part = session.part().clone();
        assert!(ReviewSession::new(&policy, part.clone(), false).questions().is_empty());
        let mut again = ReviewSession::new(&policy, part, true);
        assert_eq!(again.questions(), [key("read", "brk")]);
        again.decide(&key("read", "brk"), Decision::Rejected);
        assert!(again.questions().is_empty());
    }

    #[test]
    fn what_the_policy_knows_by_now_is_not_asked() {
        let policy = policy();
        let session = ReviewSession::new(&policy, part(&[("brk", "mmap", 1, 1)]), false);
        assert!(session.known(&key("brk", "mmap")) && session.questions().is_empty());
    }

    #[test]
    fn what_no_policy_can_allow_is_asked_and_not_accepted() {
        let policy = policy();
        let mut part = part(&[("", "write", 1, 1)]);
        for (symbol, reason) in [("@i386", Reason::Abi), ("rt_sigreturn", Reason::Sigreturn)] {
            part.entries.insert(Key { reason, ..key("brk", symbol) }, entry(1, 1));
        }
        let mut session = ReviewSession::new(&policy, part, false);
        let questions = session.questions();
        assert_eq!(questions.len(), 3);
        for key in &questions {
            assert!(session.question(key).unwrap().never.is_some(), "{key:?}");
            assert!(!session.decide(key, Decision::Accepted));
            assert!(session.decide(key, Decision::Rejected));
        }
        assert_eq!(session.apply(), (policy.clone(), 0));
    }

    #[test]
    fn a_question_says_what_the_policy_knows() {
        let policy = policy();
        let session = ReviewSession::new(
            &policy,
            part(&[("execve", "mmap", 1, 1), ("mmap", "close", 1, 1)]),
            false,
        );
        let one = key("execve", "mmap");
        let question = session.question(&one).unwrap();
        assert_eq!(question.row, [("brk".parse().unwrap(), Count { calls: 4, runs: 4 })]);
        assert_eq!(question.elsewhere, ["brk".parse().unwrap()]);
        let two = key("mmap", "close");
        let question = session.question(&two).unwrap();
        assert!(
            question.row.is_empty() && question.elsewhere.is_empty() && question.never.is_none()
        );
    }
}
