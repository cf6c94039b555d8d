//! The line of a recording on a terminal.

use crate::cli::format::count::counted;
use crate::cli::format::time::rough;
use crate::cli::io::failure::Failure;
use crate::cli::policies::{coverage, learned};
use crate::kernel::Recorder;
use crate::policy::Policy;

/// The line on a terminal that is written over once a second.
#[derive(Default)]
pub(crate) struct LiveLine {
    coverage: String,
    /// Runs and transitions that it is of.
    of: Option<(u64, u64)>,
    seconds: u32,
}

impl LiveLine {
    /// Writes the line over.
    pub(crate) fn show(&mut self, recorder: &Recorder) -> Result<(), Failure> {
        // All tables have to be read for it.
        const EVERY: u32 = 5;
        let totals = recorder.totals()?;
        let of = Some((totals.runs, totals.transitions));
        if self.seconds.is_multiple_of(EVERY) && self.of != of {
            self.of = of;
            let policies: Vec<Policy> =
                recorder.learned()?.into_iter().map(learned::policy).collect();
            self.coverage = coverage::summary(&policies);
        }
        self.seconds += 1;
        let quiet =
            totals.quiet.map_or(String::new(), |q| format!(", the last new one {} ago", rough(q)));
        let (calls, transitions) =
            (counted(totals.calls, "call"), counted(totals.transitions, "transition"));
        eprint!("\r\x1b[K{calls}, {transitions}{quiet}; {}", self.coverage);
        Ok(())
    }
}
