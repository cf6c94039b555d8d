//! What `enforce` prints while it runs: events for people, as JSON, or into the journal.

use crate::cli::agent::alarm::Change;
use crate::cli::agent::journal::{self, Journal};
use crate::cli::events::enforcement::{self, Start};
use crate::cli::events::event::{Event, Kind};
use crate::cli::events::text::{is_violation, text};
use crate::cli::events::{kernel_violation, totals};
use crate::cli::io::failure::Failure;
use crate::cli::io::report;
use crate::cli::io::sink::Sink;
use crate::cli::policies::warnings;
use crate::kernel::{self, Repeated, Totals};
use crate::policy::Policy;
use std::io;

/// Where events go besides the file of `--events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Log {
    /// To the journal if stdout or stderr leads there and --json is not given; else printed
    #[default]
    Auto,
    /// To the journal, with a field for each value
    Journald,
    /// Printed, one a line
    Plain,
}

/// Prints what happens while policies are enforced: to stdout or the journal, and to the file of
/// `--events`.
pub(crate) struct Printer {
    json: bool,
    /// Takes what is for people, as long as it does.
    journal: Option<Journal>,
    /// What is enforced.
    sentence: String,
    out: Sink,
    file: Option<Sink>,
}

impl Printer {
    pub(crate) fn new(json: bool, log: Log, file: Option<Sink>) -> Self {
        let wanted = match log {
            Log::Auto => {
                !json && (journal::receives(io::stdout()) || journal::receives(io::stderr()))
            }
            Log::Journald => true,
            Log::Plain => false,
        };
        let open = || Journal::open().map_err(|e| report::warn(&format!("no journal: {e}"), ""));
        let journal = wanted.then(open).and_then(Result::ok);
        Printer { json, journal, sentence: String::new(), out: Sink::stdout(), file }
    }

    /// Prints an event. Whether the journal took it: what it takes is not printed as well.
    fn print(&mut self, event: &Event) -> bool {
        if self.json || self.file.is_some() {
            let line = event.to_json();
            if self.json {
                self.out.line(&line);
            }
            if let Some(file) = &mut self.file {
                file.line(&line);
            }
        }
        if self.journal.as_mut().is_some_and(|journal| journal.takes(event)) {
            return true;
        }
        if !self.json {
            let text = text(event, self.file.is_some());
            if is_violation(event.kind) {
                self.out.line(&text);
            } else {
                eprintln!("{text}");
            }
        }
        false
    }

    /// These policies are enforced from now on.
    pub(crate) fn start(&mut self, policies: &[Policy], start: &Start) {
        self.begin(Kind::Start, policies, start);
    }

    /// These policies are enforced from now on, instead of others or again.
    pub(crate) fn reloaded(&mut self, policies: &[Policy], start: &Start) {
        self.begin(Kind::Reload, policies, start);
    }

    fn begin(&mut self, kind: Kind, policies: &[Policy], start: &Start) {
        self.sentence = start.sentence(policies);
        self.print(&start.event(kind, policies));
        self.flush();
        policies.iter().for_each(warnings::warn_of);
    }

    /// What is enforced, in a sentence.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// A reload was asked for and refused: the failure says how things are.
    pub(crate) fn refused(&mut self, failure: &Failure) {
        let event = Event::new(Kind::ReloadRefused).now().with("outcome", "refused");
        self.print(&failure.describe(event));
        self.flush();
    }

    /// Whether calls are still refused has changed.
    pub(crate) fn alarm(&mut self, change: &Change) {
        self.print(&match change {
            Change::Raised(failing) => enforcement::alarm_raised(failing),
            Change::Cleared => enforcement::alarm_cleared(),
        });
        self.flush();
    }

    /// This process ends, and enforcement goes on.
    pub(crate) fn leave(&mut self) {
        self.print(&enforcement::leave());
        self.flush();
    }

    /// A violation that the kernel has reported.
    pub(crate) fn violation(&mut self, found: &kernel::Violation) {
        // Without one of these nobody could look an id up.
        let identified = self.json || self.file.is_some() || self.journal.is_some();
        self.print(&kernel_violation::of(found, identified));
    }

    /// Violations that the kernel has counted, and not reported one by one.
    pub(crate) fn repeated(&mut self, found: &Repeated) {
        self.print(&kernel_violation::repeated(found));
    }

    /// Enforcement has ended.
    pub(crate) fn stop(&mut self, totals: &Totals) {
        let taken = self.print(&enforcement::stop(totals));
        if taken || !self.json {
            report::warn_all(&totals::warnings(totals));
        }
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        self.out.flush();
        self.file.iter_mut().for_each(Sink::flush);
    }
}
