//! A stream or file that takes events, a line each.

use crate::cli::io::failure::Failure;
use crate::cli::io::report;
use crate::ownership::{open_own_entry, Place};
use crate::text::shown;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write as _};
use std::path::Path;

/// A buffered writer of lines. It is flushed after all events that were there: a flush after each
/// line could not keep up with many violations.
pub(crate) struct Sink {
    name: String,
    to: BufWriter<Box<dyn io::Write>>,
    /// A write has failed: events go there no more, and enforcement goes on.
    closed: bool,
}

impl Sink {
    pub(crate) fn stdout() -> Self {
        Sink { name: "stdout".into(), to: BufWriter::new(Box::new(io::stdout())), closed: false }
    }

    /// A file that may have events already. One that somebody else has put there is refused.
    pub(crate) fn append(path: &Path) -> Result<Self, Failure> {
        let name = shown(&path).to_string();
        let place = Place::of(path).map_err(|e| Failure::placing(&name, &e))?;
        let file = open(place.path());
        let Some(file) = file.map_err(|e| Failure::writing(&name, &e))? else {
            return Err(Failure::new(
                format!("`{name}` was put there by another user"),
                format!("remove it, or choose a directory that only you can write: rm {name}"),
            ));
        };
        Ok(Sink { name: format!("`{name}`"), to: BufWriter::new(Box::new(file)), closed: false })
    }

    pub(crate) fn line(&mut self, text: &str) {
        if !self.closed {
            let outcome = writeln!(self.to, "{text}");
            self.check(outcome);
        }
    }

    pub(crate) fn flush(&mut self) {
        if !self.closed {
            let outcome = self.to.flush();
            self.check(outcome);
        }
    }

    fn check(&mut self, outcome: io::Result<()>) {
        if let Err(e) = outcome {
            self.closed = true;
            let name = &self.name;
            report::warn(
                &format!("{name} is closed: events go there no more, enforcement goes on ({e})"),
                "",
            );
        }
    }
}

/// Opens a file to add to it, or makes it; `None` if somebody else has put there what is there.
fn open(path: &Path) -> io::Result<Option<File>> {
    let mut options = File::options();
    match open_own_entry(path, options.append(true).create(true)) {
        // What is put there in the meantime is an error.
        Err(e) if e.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            File::options().append(true).create_new(true).open(path).map(Some)
        }
        opened => opened,
    }
}
