//! One kind of violation, as it was seen, and what an operator decided about it.

use crate::machine::{Context, Reason};
use crate::text::UntrustedText;
use jiff::Timestamp;

/// What makes two violations of one policy the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The context that the thread was in; empty where it was not known.
    pub context: Context,
    /// The call; of a foreign ABI as `@i386` or `@x32`.
    pub symbol: UntrustedText,
    /// Why it is one.
    pub reason: Reason,
}

/// A frame of the user stack, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// Where the program was, or where it returns to.
    pub address: u64,
    /// The file that is mapped there.
    pub module: Option<UntrustedText>,
    /// The function's name.
    pub symbol: Option<UntrustedText>,
    /// From the symbol; without one from the module's first address, as its own headers count them.
    pub offset: Option<u64>,
}

impl Frame {
    /// The module's file name.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.module.as_ref().and_then(|path| path.whole().rsplit('/').next())
    }

    /// Whether it is the C library's, through which nearly every call goes.
    fn is_c_library(&self) -> bool {
        const NAMES: [&str; 5] = ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl"];
        self.file_name().is_some_and(|name| NAMES.iter().any(|n| name.starts_with(n)))
    }
}

/// A sample of several violations of one kind: the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// The thread group.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The thread's name.
    pub comm: UntrustedText,
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
    /// The transition stays a violation.
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
    pub sample: Sample,
    /// What was decided; none yet.
    pub decision: Option<Decision>,
}

impl Entry {
    /// The module that is answerable for the call: the innermost that is not the C library, else
    /// the innermost.
    #[must_use]
    pub fn module(&self) -> Option<&UntrustedText> {
        let known = || self.sample.stack.iter().filter(|f| f.module.is_some());
        let found = known().find(|f| !f.is_c_library()).or_else(|| known().next());
        found.and_then(|frame| frame.module.as_ref())
    }

    pub(crate) fn merge(&mut self, other: Entry) {
        self.count = self.count.saturating_add(other.count);
        self.last = self.last.max(other.last);
        if other.first < self.first {
            self.first = other.first;
            self.sample = other.sample;
        } else if self.sample.stack.is_empty() && other.first == self.first {
            self.sample.stack = other.sample.stack;
        }
        self.decision = self.decision.or(other.decision);
    }
}
