//! The alarm: vetoes are tried again and again, and somebody has to know when they do not work any
//! more.

use crate::kernel::{KernelError, Mechanism};
use std::time::{Duration, Instant};

/// How long it is until vetoes that worked are tried again.
const PERIOD: Duration = Duration::from_secs(5);
/// How long it is until vetoes that did not work are tried again.
const SOON: Duration = Duration::from_secs(1);
/// How many self-tests in a row have to fail. The kernel may leave a program out for as long as
/// another task is preempted inside of it.
const FAILURES: u32 = 3;

/// A change of the alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// These mechanisms do not refuse calls any more.
    Raised(Vec<Mechanism>),
    /// All of them do again.
    Cleared,
}

/// When the next self-test is due, and what the last ones have found.
#[derive(Debug)]
pub(crate) struct Alarm {
    due: Instant,
    failures: u32,
    is_raised: bool,
}

impl Alarm {
    /// No alarm: the vetoes worked just now. `is_raised` if somebody before has said that they do
    /// not.
    pub(crate) fn new(is_raised: bool) -> Self {
        Alarm { due: Instant::now(), failures: 0, is_raised }
    }

    /// Carries out the self-test if it is due.
    pub(crate) fn look(
        &mut self,
        self_test: impl FnOnce() -> Result<Vec<Mechanism>, KernelError>,
    ) -> Option<Change> {
        let now = Instant::now();
        if now < self.due {
            return None;
        }
        let failing = match self_test() {
            Ok(failing) => failing,
            Err(error) => {
                tracing::warn!("cannot try whether calls are still refused: {error}");
                self.due = now + PERIOD;
                return None;
            }
        };
        self.due = now + if failing.is_empty() { PERIOD } else { SOON };
        self.found(failing)
    }

    /// What follows from a self-test.
    fn found(&mut self, failing: Vec<Mechanism>) -> Option<Change> {
        if failing.is_empty() {
            self.failures = 0;
            let was_raised = std::mem::take(&mut self.is_raised);
            return was_raised.then_some(Change::Cleared);
        }
        self.failures = self.failures.saturating_add(1);
        if self.is_raised || self.failures < FAILURES {
            return None;
        }
        self.is_raised = true;
        Some(Change::Raised(failing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_raised_once_by_failures_in_a_row_and_cleared_once() {
        let mut alarm = Alarm::new(false);
        let bad = || vec![Mechanism::Lsm];
        let found: Vec<_> = [bad(), bad(), vec![], bad(), bad(), bad(), bad(), vec![], vec![]]
            .map(|failing| alarm.found(failing))
            .into_iter()
            .enumerate()
            .filter_map(|(index, change)| Some((index, change?)))
            .collect();
        assert_eq!(found, [(5, Change::Raised(bad())), (7, Change::Cleared)]);
    }

    #[test]
    fn an_alarm_of_the_agent_before_is_cleared_and_not_raised_again() {
        let mut alarm = Alarm::new(true);
        assert_eq!([(); 4].map(|()| alarm.found(vec![Mechanism::Call])), [None, None, None, None]);
        assert_eq!(alarm.found(vec![]), Some(Change::Cleared));
    }

    #[test]
    fn vetoes_are_tried_when_that_is_due() {
        let mut alarm = Alarm::new(false);
        let mut tried = 0;
        for _ in 0..3 {
            alarm.look(|| {
                tried += 1;
                Ok(Vec::new())
            });
        }
        assert_eq!(tried, 1);
    }
}
