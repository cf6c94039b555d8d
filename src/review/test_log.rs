//! Violations for the tests of reviewing.
#![allow(clippy::unwrap_used)]

use crate::machine::{Depth, Reason};
use crate::policy::PolicySelector;
use crate::review::entry::{Entry, Key, Sample};
use crate::review::log::ReviewLog;
use jiff::Timestamp;

pub(crate) fn key(context: &str, symbol: &str) -> Key {
    Key { context: context.parse().unwrap(), symbol: symbol.into(), reason: Reason::Transition }
}

pub(crate) fn entry(second: i64, count: u64) -> Entry {
    let time = Timestamp::from_second(second).unwrap();
    let sample = Sample { pid: 42, tid: 42, comm: "prog".into(), ..Sample::default() };
    Entry { count, first: time, last: time, sample, decision: None }
}

pub(crate) fn selector(binary: &str) -> PolicySelector {
    PolicySelector { binary: binary.into(), cgroup: None }
}

pub(crate) fn log(entries: &[(&str, &str, i64, u64)]) -> ReviewLog {
    let mut log = ReviewLog::default();
    for &(context, symbol, second, count) in entries {
        log.add(&selector("/bin/p"), Depth::PAIRS, key(context, symbol), entry(second, count))
            .unwrap();
    }
    log
}
