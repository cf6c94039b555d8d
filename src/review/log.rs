//! Violations by policy, as they are collected while a program is only watched.

use crate::machine::Depth;
use crate::policy::PolicySelector;
use crate::review::entry::{Entry, Key};
use std::collections::btree_map::Entry as Slot;
use std::collections::BTreeMap;

/// The violations of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The policy's depth: contexts of another length mean nothing to it.
    pub depth: Depth,
    /// The violations.
    pub entries: BTreeMap<Key, Entry>,
}

/// Violations by policy, that is by what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReviewLog {
    /// By what the policy is for.
    pub parts: BTreeMap<PolicySelector, Part>,
}

/// Two parts of a policy's log are of different depths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{selector}`: violations of a policy of depth {there}, and the policy has depth {here}")]
pub struct DepthMismatch {
    /// The policy.
    pub selector: PolicySelector,
    /// The depth in the log.
    pub there: Depth,
    /// The depth that was to be added.
    pub here: Depth,
}

impl DepthMismatch {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "a log belongs to policies of one depth: give another file, or learn the policy at its depth"
    }
}

impl ReviewLog {
    /// Adds violations of a policy.
    ///
    /// # Errors
    /// The policy's violations in the log are of another depth. Then nothing is added.
    pub fn add(
        &mut self,
        of: &PolicySelector,
        depth: Depth,
        key: Key,
        entry: Entry,
    ) -> Result<(), DepthMismatch> {
        match self.part(of, depth)?.entries.entry(key) {
            Slot::Vacant(slot) => {
                slot.insert(entry);
            }
            Slot::Occupied(mut slot) => slot.get_mut().merge(entry),
        }
        Ok(())
    }

    /// Adds another log: counts add, of two first ones the earlier is kept, a decision stays.
    /// The order does not matter.
    ///
    /// # Errors
    /// One policy's violations are of different depths; what came before it was added.
    pub fn merge(&mut self, other: ReviewLog) -> Result<(), DepthMismatch> {
        for (selector, part) in other.parts {
            for (key, entry) in part.entries {
                self.add(&selector, part.depth, key, entry)?;
            }
        }
        Ok(())
    }

    /// Makes room for a policy's violations, though there may never be one.
    ///
    /// # Errors
    /// The policy's violations in the log are of another depth.
    pub fn open(&mut self, of: &PolicySelector, depth: Depth) -> Result<(), DepthMismatch> {
        self.part(of, depth).map(|_| ())
    }

    /// Whether violations of this policy could be added.
    ///
    /// # Errors
    /// The policy's violations in the log are of another depth.
    pub fn fits(&self, of: &PolicySelector, depth: Depth) -> Result<(), DepthMismatch> {
        match self.parts.get(of) {
            Some(part) if part.depth != depth => {
                Err(DepthMismatch { selector: of.clone(), there: part.depth, here: depth })
            }
            _ => Ok(()),
        }
    }

    /// How many different violations it holds.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.parts.values().map(|part| part.entries.len()).sum()
    }

    fn part(&mut self, of: &PolicySelector, depth: Depth) -> Result<&mut Part, DepthMismatch> {
        self.fits(of, depth)?;
        Ok(self.parts.entry(of.clone()).or_insert_with(|| Part { depth, entries: BTreeMap::new() }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use crate::review::entry::{Decision, Frame};
    use crate::review::test_log::{entry, key, log, selector};

    #[test]
    fn counts_add_and_the_earliest_is_the_first_whatever_the_order() {
        let a = log(&[("brk", "read", 10, 2), ("read", "write", 5, 1)]);
        let b = log(&[("brk", "read", 3, 5), ("mmap", "read", 7, 1)]);
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(b).unwrap();
        ba.merge(a).unwrap();
        assert_eq!(ab, ba);
        let found = &ab.parts[&selector("/bin/p")].entries[&key("brk", "read")];
        assert_eq!((found.count, found.first.as_second(), found.last.as_second()), (7, 3, 10));
        assert_eq!(ab.entries(), 3);
    }

    #[test]
    fn a_decision_outlives_more_of_the_same() {
        let mut decided = log(&[("brk", "read", 10, 2)]);
        for entry in decided.parts.get_mut(&selector("/bin/p")).unwrap().entries.values_mut() {
            entry.decision = Some(Decision::Rejected);
        }
        let mut more = log(&[("brk", "read", 1, 1)]);
        more.merge(decided).unwrap();
        assert_eq!(
            more.parts[&selector("/bin/p")].entries[&key("brk", "read")].decision,
            Some(Decision::Rejected)
        );
    }

    #[test]
    fn depths_do_not_mix() {
        let mut log = log(&[("brk", "read", 10, 2)]);
        let three = Depth::try_from(3).unwrap();
        let before = log.clone();
        let error =
            log.add(&selector("/bin/p"), three, key("brk read", "read"), entry(1, 1)).unwrap_err();
        assert!(
            error.to_string().contains("depth 2") && error.to_string().contains("depth 3"),
            "{error}"
        );
        assert_eq!(log, before);
    }

    #[test]
    fn the_module_is_the_innermost_that_is_not_the_c_library() {
        let frame = |module: &str| Frame { module: Some(module.into()), ..Frame::default() };
        let mut entry = entry(1, 1);
        assert_eq!(entry.module(), None);
        entry.sample.stack = vec![frame("/lib/libc.so.6"), Frame::default()];
        assert_eq!(entry.module(), Some(&"/lib/libc.so.6".into()));
        entry.sample.stack.extend([frame("/lib/libssl.so.3"), frame("/usr/sbin/nginx")]);
        assert_eq!(entry.module(), Some(&"/lib/libssl.so.3".into()));
    }
}
