//! From watching to enforcing: violations that were seen while a program was only watched, as a
//! fragment of a policy (docs/review.md), what an operator decides about each, and what that makes
//! of the policy.

mod apply;
mod file;
mod glob;

pub use apply::{Question, Sheet};
pub use file::{parse, to_value, FragmentError};
pub use glob::Glob;

use crate::machine::{Context, Depth, Reason};
use crate::policy::Subject;
use jiff::Timestamp;
use std::collections::btree_map::Entry as Slot;
use std::collections::BTreeMap;

/// What makes two violations of one policy the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The context that the thread was in; empty where it was not known.
    pub context: Context,
    /// The call; of a foreign ABI as `@i386` or `@x32`.
    pub symbol: String,
    /// Why it is one.
    pub reason: Reason,
}

/// A frame of the user stack, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// Where the program was, or where it returns to.
    pub address: u64,
    /// The file that is mapped there.
    pub module: Option<String>,
    /// The function's name.
    pub symbol: Option<String>,
    /// From the symbol; without one from the module's first address, as its own headers count them.
    pub offset: Option<u64>,
}

impl Frame {
    /// The module's file name.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.module.as_deref().and_then(|path| path.rsplit('/').next())
    }

    /// Whether it is the C library's, through which nearly every call goes.
    fn is_c_library(&self) -> bool {
        const NAMES: [&str; 5] = ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl"];
        self.file_name().is_some_and(|name| NAMES.iter().any(|n| name.starts_with(n)))
    }
}

/// What is told of the first of several violations that are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct First {
    /// The thread group.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The thread's name.
    pub comm: String,
    /// A foreign call's number in its own table.
    pub number: Option<u32>,
    /// The call's six argument registers.
    pub args: [u64; 6],
    /// Where the program called from.
    pub ip: u64,
    /// How it came there; empty where that could not be read.
    pub stack: Vec<Frame>,
}

/// What the operator decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The policy is to allow it.
    Accepted,
    /// The policy is to allow the call wherever the program is: when it comes is chance.
    Anywhere,
    /// It stays a violation.
    Rejected,
}

impl Decision {
    /// As it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Accepted => "accepted",
            Decision::Anywhere => "anywhere",
            Decision::Rejected => "rejected",
        }
    }
}

/// Violations that are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How many.
    pub count: u64,
    /// When the first was.
    pub first: Timestamp,
    /// When the last was.
    pub last: Timestamp,
    /// The first.
    pub facts: First,
    /// What was decided; none yet.
    pub decision: Option<Decision>,
}

impl Entry {
    /// The module that is answerable for the call: the innermost that is not the C library, else
    /// the innermost.
    #[must_use]
    pub fn module(&self) -> Option<&str> {
        let known = || self.facts.stack.iter().filter(|f| f.module.is_some());
        let found = known().find(|f| !f.is_c_library()).or_else(|| known().next());
        found.and_then(|frame| frame.module.as_deref())
    }

    fn merge(&mut self, other: Entry) {
        self.count = self.count.saturating_add(other.count);
        self.last = self.last.max(other.last);
        if other.first < self.first {
            self.first = other.first;
            self.facts = other.facts;
        } else if self.facts.stack.is_empty() && other.first == self.first {
            self.facts.stack = other.facts.stack;
        }
        self.decision = self.decision.or(other.decision);
    }
}

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
pub struct Fragment {
    /// By what the policy is for.
    pub parts: BTreeMap<Subject, Part>,
}

/// Two parts of a policy's fragment are of different depths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{subject}`: violations of a policy of depth {there}, and the policy has depth {here}")]
pub struct DepthMismatch {
    /// Whose they are.
    pub subject: Subject,
    /// The depth in the fragment.
    pub there: Depth,
    /// The depth that was to be added.
    pub here: Depth,
}

impl DepthMismatch {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "a fragment belongs to policies of one depth: give another file, or learn the policy at its depth"
    }
}

impl Fragment {
    /// Adds violations of a policy.
    ///
    /// # Errors
    /// Those that are there are of another depth; then nothing is added.
    pub fn add(
        &mut self,
        of: &Subject,
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

    /// Adds another fragment: counts add, of two first ones the earlier is kept, a decision stays.
    /// The order does not matter.
    ///
    /// # Errors
    /// One policy's violations are of different depths; what came before it was added.
    pub fn merge(&mut self, other: Fragment) -> Result<(), DepthMismatch> {
        for (subject, part) in other.parts {
            for (key, entry) in part.entries {
                self.add(&subject, part.depth, key, entry)?;
            }
        }
        Ok(())
    }

    /// Makes room for a policy's violations, though there may never be one.
    ///
    /// # Errors
    /// Those that are there are of another depth.
    pub fn open(&mut self, of: &Subject, depth: Depth) -> Result<(), DepthMismatch> {
        self.part(of, depth).map(|_| ())
    }

    /// Whether violations of this policy could be added.
    ///
    /// # Errors
    /// Those that are there are of another depth.
    pub fn fits(&self, of: &Subject, depth: Depth) -> Result<(), DepthMismatch> {
        match self.parts.get(of) {
            Some(part) if part.depth != depth => {
                Err(DepthMismatch { subject: of.clone(), there: part.depth, here: depth })
            }
            _ => Ok(()),
        }
    }

    /// How many different violations it holds.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.parts.values().map(|part| part.entries.len()).sum()
    }

    fn part(&mut self, of: &Subject, depth: Depth) -> Result<&mut Part, DepthMismatch> {
        self.fits(of, depth)?;
        Ok(self.parts.entry(of.clone()).or_insert_with(|| Part { depth, entries: BTreeMap::new() }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn key(context: &str, symbol: &str) -> Key {
        Key { context: context.parse().unwrap(), symbol: symbol.into(), reason: Reason::Transition }
    }

    pub(crate) fn entry(second: i64, count: u64) -> Entry {
        let time = Timestamp::from_second(second).unwrap();
        let facts = First { pid: 42, tid: 42, comm: "prog".into(), ..First::default() };
        Entry { count, first: time, last: time, facts, decision: None }
    }

    pub(crate) fn subject(binary: &str) -> Subject {
        Subject { binary: binary.into(), cgroup: None }
    }

    pub(crate) fn fragment(entries: &[(&str, &str, i64, u64)]) -> Fragment {
        let mut fragment = Fragment::default();
        for &(context, symbol, second, count) in entries {
            fragment
                .add(&subject("/bin/p"), Depth::PAIRS, key(context, symbol), entry(second, count))
                .unwrap();
        }
        fragment
    }

    #[test]
    fn counts_add_and_the_earliest_is_the_first_whatever_the_order() {
        let a = fragment(&[("brk", "read", 10, 2), ("read", "write", 5, 1)]);
        let b = fragment(&[("brk", "read", 3, 5), ("mmap", "read", 7, 1)]);
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(b).unwrap();
        ba.merge(a).unwrap();
        assert_eq!(ab, ba);
        let found = &ab.parts[&subject("/bin/p")].entries[&key("brk", "read")];
        assert_eq!((found.count, found.first.as_second(), found.last.as_second()), (7, 3, 10));
        assert_eq!(ab.entries(), 3);
    }

    #[test]
    fn a_decision_outlives_more_of_the_same() {
        let mut decided = fragment(&[("brk", "read", 10, 2)]);
        for entry in decided.parts.get_mut(&subject("/bin/p")).unwrap().entries.values_mut() {
            entry.decision = Some(Decision::Rejected);
        }
        let mut more = fragment(&[("brk", "read", 1, 1)]);
        more.merge(decided).unwrap();
        assert_eq!(
            more.parts[&subject("/bin/p")].entries[&key("brk", "read")].decision,
            Some(Decision::Rejected)
        );
    }

    #[test]
    fn depths_do_not_mix() {
        let mut fragment = fragment(&[("brk", "read", 10, 2)]);
        let three = Depth::try_from(3).unwrap();
        let before = fragment.clone();
        let error = fragment
            .add(&subject("/bin/p"), three, key("brk read", "read"), entry(1, 1))
            .unwrap_err();
        assert!(
            error.to_string().contains("depth 2") && error.to_string().contains("depth 3"),
            "{error}"
        );
        assert_eq!(fragment, before);
    }

    #[test]
    fn the_module_is_the_innermost_that_is_not_the_c_library() {
        let frame = |module: &str| Frame { module: Some(module.into()), ..Frame::default() };
        let mut entry = entry(1, 1);
        assert_eq!(entry.module(), None);
        entry.facts.stack = vec![frame("/lib/libc.so.6"), Frame::default()];
        assert_eq!(entry.module(), Some("/lib/libc.so.6"));
        entry.facts.stack.extend([frame("/lib/libssl.so.3"), frame("/usr/sbin/nginx")]);
        assert_eq!(entry.module(), Some("/lib/libssl.so.3"));
    }
}
