//! Violations for the tests of reviewing.
#![allow(clippy::unwrap_used)]

use crate::machine::{Depth, Reason};
use crate::policy::Subject;
use crate::review::entry::{Entry, First, Key};
use crate::review::log::Fragment;
use jiff::Timestamp;

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
