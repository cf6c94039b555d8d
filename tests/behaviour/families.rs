//! At level `kill` the violation of a task is the end of its process, and of each process that
//! shares its memory or its descriptors: none of them does anything soon after.

use crate::history::Difference;
use std::time::{Duration, SystemTime};
use sysfsm_fixtures::behaviour::{flag, kind, Record};

/// How long after the violating call a task of another processor may go on.
const MOMENT: Duration = Duration::from_millis(2);

/// The processor's clock, and the system's.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    ticks: u64,
    time: SystemTime,
}

/// What tells the processor's clock by the system's.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    first: Moment,
    last: Moment,
}

impl Moment {
    /// Now: of some readings the one between which least has passed.
    #[allow(unsafe_code)]
    pub fn now() -> Self {
        // SAFETY: reads a register.
        let ticks = || unsafe { std::arch::x86_64::_rdtsc() };
        let reading = |_| {
            let (before, time, after) = (ticks(), SystemTime::now(), ticks());
            (after - before, Moment { ticks: after, time })
        };
        let best = (0..50).map(reading).min_by_key(|(passed, _)| *passed);
        best.expect("some readings").1
    }
}

impl Clock {
    /// Two moments far enough from each other.
    pub fn new(first: Moment, last: Moment) -> Self {
        Clock { first, last }
    }

    /// The processor's clock at a time of the system's.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn ticks(&self, time: SystemTime) -> u64 {
        let since = |time: SystemTime| {
            time.duration_since(self.first.time).unwrap_or_default().as_secs_f64()
        };
        let rate = (self.last.ticks - self.first.ticks) as f64 / since(self.last.time);
        self.first.ticks + (since(time) * rate) as u64
    }
}

/// What a task has in common with others, from some time on.
#[derive(Debug, Clone, Copy)]
struct Shares {
    from: u64,
    process: u32,
    memory: u32,
    files: u32,
}

/// What is between an exec and the start of the new program is not known.
const UNKNOWN: u32 = u32::MAX;

/// What each task shares, in the order of time.
fn shares(records: &[&[Record]]) -> Vec<Vec<Shares>> {
    let mut all: Vec<Vec<Shares>> = vec![Vec::new(); records.len()];
    all[0] = vec![Shares { from: 0, process: 0, memory: 0, files: 0 }];
    let mut fresh = 1;
    let mut new = || {
        fresh += 1;
        fresh
    };
    // A creator has a lower slot.
    for slot in 0..records.len() {
        let Some(mut now) = all[slot].last().copied() else { continue };
        for record in records[slot] {
            let has = |which: i32| record.more & u64::from(which.unsigned_abs()) != 0;
            if record.kind == kind::START && record.time > 0 {
                now = Shares { from: record.time, memory: new(), files: new(), ..now };
                all[slot].push(now);
            } else if record.flags & flag::EXEC != 0 {
                let failed = record.done != 0;
                if !failed {
                    let shares =
                        Shares { from: record.time, memory: UNKNOWN, files: UNKNOWN, ..now };
                    all[slot].push(shares);
                }
            } else if record.flags & flag::BIRTH != 0 {
                let child = u32::try_from(record.detail).unwrap();
                all[child as usize] = vec![Shares {
                    from: record.time,
                    process: if has(libc::CLONE_THREAD) { now.process } else { child },
                    memory: if has(libc::CLONE_VM) { now.memory } else { new() },
                    files: if has(libc::CLONE_FILES) { now.files } else { new() },
                }];
            }
        }
    }
    all
}

/// Looks whether a task goes on though one whose end is its end was killed: by slot and time.
pub fn check(
    records: &[&[Record]],
    kills: &[(u32, SystemTime)],
    clock: &Clock,
) -> Result<(), Difference> {
    let all = shares(records);
    let at = |slot: usize, ticks: u64| {
        all[slot].iter().rev().find(|shares| shares.from <= ticks).copied()
    };
    for &(killed, time) in kills {
        let ticks = clock.ticks(time);
        let late = clock.ticks(time + MOMENT);
        let Some(then) = at(killed as usize, ticks) else { continue };
        for (slot, written) in records.iter().enumerate() {
            let Some(its) = at(slot, ticks) else { continue };
            let shared = |its: u32, then: u32| its == then && its != UNKNOWN;
            if !(shared(its.process, then.process)
                || shared(its.memory, then.memory)
                || shared(its.files, then.files))
            {
                continue;
            }
            if let Some(index) = written.iter().position(|record| record.time > late) {
                return Err(Difference {
                    at: (u32::try_from(slot).unwrap(), u32::try_from(index).unwrap()),
                    what: format!(
                        "the task goes on after the violation of slot {killed}: {its:?}, {then:?}"
                    ),
                });
            }
        }
    }
    Ok(())
}
