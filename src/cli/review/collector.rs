//! `enforce --learn-to FILE`: violations that were only logged, collected for `review`.

use crate::cli::io::failure::Failure;
use crate::cli::io::report;
use crate::cli::review::log_file;
use crate::kernel::{self, Unwinder, Unwound};
use crate::policy::Policy;
use crate::review::{Entry, Frame, Key, ReviewLog, Sample};
use jiff::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the file is written, if there is anything new.
const INTERVAL: Duration = Duration::from_secs(3);
/// How long the last stacks may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The violation for which a stack was asked.
type Asked = (Arc<Policy>, Key, Entry);

/// Collects violations, and adds them to the file now and then: what others write there meanwhile
/// stays.
pub(crate) struct Collector {
    file: PathBuf,
    /// What the file does not have yet.
    fresh: ReviewLog,
    unwinder: Unwinder<Asked>,
    written: Instant,
    failing: bool,
    /// How many stacks were asked for and could not be read.
    lost: u64,
}

impl Collector {
    /// Begins, with the file, which may be there.
    pub(crate) fn start(file: PathBuf, policies: &[Policy]) -> Result<Self, Failure> {
        let fresh = ReviewLog::default();
        log_file::update(&file, |log| {
            policies.iter().try_for_each(|p| log.open(&p.selector(), p.machine.depth()))
        })?;
        let unwinder = Unwinder::start();
        Ok(Collector { file, fresh, unwinder, written: Instant::now(), failing: false, lost: 0 })
    }

    /// Takes a violation in.
    pub(crate) fn violation(&mut self, found: &mut kernel::Violation) {
        let Ok(time) = Timestamp::try_from(found.time) else { return };
        let kind = &found.kind;
        let key =
            Key { context: kind.context, symbol: kind.symbol.as_str().into(), reason: kind.reason };
        let sample = Sample {
            pid: found.pid,
            tid: found.tid,
            comm: found.comm.clone(),
            number: kind.number,
            args: found.args,
            ip: found.ip,
            stack: Vec::new(),
        };
        let entry = Entry { count: 1, first: time, last: time, sample, decision: None };
        let policy = kind.policy.clone();
        if let Some(snapshot) = found.stack.take() {
            let tag = (policy.clone(), key.clone(), Entry { count: 0, ..entry.clone() });
            self.unwinder.ask(tag, snapshot);
        }
        self.add(&policy, key, entry);
    }

    /// Writes what is new, if it is time to. That this fails keeps nobody from enforcing.
    pub(crate) fn tick(&mut self) {
        if self.written.elapsed() < INTERVAL {
            return;
        }
        let answers = self.unwinder.answers();
        self.take_in(answers);
        self.written = Instant::now();
        match self.write() {
            Err(failure) if !self.failing => {
                report::warn(&format!("what was learned is kept for later: {failure}"), "");
                self.failing = true;
            }
            outcome => self.failing = outcome.is_err(),
        }
    }

    /// Writes all that there is.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        let answers = self.unwinder.finish(PATIENCE);
        self.take_in(answers);
        self.write()
    }

    /// How many stacks were lost: the violations are in the file all the same.
    pub(crate) fn stacks_lost(&self) -> u64 {
        self.lost + self.unwinder.refused()
    }

    fn write(&mut self) -> Result<(), Failure> {
        if self.fresh.entries() > 0 {
            let fresh = &self.fresh;
            log_file::update(&self.file, |log| log.merge(fresh.clone()))?;
            self.fresh = ReviewLog::default();
        }
        Ok(())
    }

    fn take_in(&mut self, answers: Vec<(Asked, Unwound)>) {
        for ((policy, key, mut entry), stack) in answers {
            let stack = stack.unwrap_or_else(|why| {
                if self.lost == 0 {
                    let what = format!(
                        "the stack of `{}` in `{}` is lost: {why}",
                        key.symbol, policy.binary
                    );
                    report::warn(&what, "the violation is in the file, without its stack");
                }
                self.lost += 1;
                Vec::new()
            });
            entry.sample.stack = stack
                .into_iter()
                .map(|f| Frame {
                    address: f.address,
                    module: f.module.map(Into::into),
                    symbol: f.symbol.map(Into::into),
                    offset: f.offset,
                })
                .collect();
            self.add(&policy, key, entry);
        }
    }

    fn add(&mut self, policy: &Policy, key: Key, entry: Entry) {
        // What is new is of the policies' own depths.
        if let Err(e) = self.fresh.add(&policy.selector(), policy.machine.depth(), key, entry) {
            tracing::debug!("{e}");
        }
    }
}
