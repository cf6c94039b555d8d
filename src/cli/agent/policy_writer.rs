//! The policies of a recording, which are written again and again.

use crate::cli::io::failure::Failure;
use crate::cli::io::report;
use crate::cli::policies::learned::{PolicyOutput, Written};
use crate::kernel::Recorder;
use crate::ownership::{make_directory, Place};
use crate::text::shown;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes policies, again and again.
pub(crate) struct PolicyWriter {
    output: PolicyOutput,
    stdout: bool,
    /// Calls of the last writing.
    calls: Option<u64>,
    /// What was written before.
    files: BTreeSet<PathBuf>,
}

impl PolicyWriter {
    /// Makes sure that there is a place to write to, before anything is recorded.
    pub(crate) fn new(to: &Path, binaries: usize) -> Result<Self, Failure> {
        let output = PolicyOutput::new(to);
        if !output.is_directory() && binaries > 1 {
            return Err(Failure::new(
                format!("{} binaries, and `{}` holds one policy", binaries, shown(&to)),
                "give a directory: -o DIR/",
            ));
        }
        let stdout = to == Path::new("-");
        let there = if output.is_directory() {
            make_directory(to)
        } else if !stdout {
            Place::of(to).map(drop)
        } else {
            Ok(())
        };
        there.map_err(|e| Failure::placing(&shown(&to).to_string(), &e))?;
        Ok(PolicyWriter { output, stdout, calls: None, files: BTreeSet::new() })
    }

    /// Writes in the middle of a recording: what fails now may go well the next time.
    pub(crate) fn write_what_there_is(&mut self, recorder: &Recorder) -> Result<(), Failure> {
        let calls = recorder.totals()?.calls;
        if self.stdout || calls == 0 || self.calls == Some(calls) {
            return Ok(());
        }
        match self.write(recorder) {
            Ok(_) => self.calls = Some(calls),
            Err(failure) => report::warn(&failure.what(), "it is tried again"),
        }
        Ok(())
    }

    /// Writes the policies as they are.
    pub(crate) fn write(&mut self, recorder: &Recorder) -> Result<Vec<Written>, Failure> {
        let mut learned = recorder.learned()?;
        if !self.output.is_directory() {
            if let Some(path) = recorder.nameless_first() {
                return Err(Failure::new(
                    format!("where the program `{path}` is could not be found out"),
                    "give its absolute path; or a directory, -o DIR/, for the others' policies",
                ));
            }
            learned.truncate(1);
        }
        if learned.is_empty() {
            return Err(Failure::new(
                "nothing was recorded: no run was seen",
                "does the program run, and is it the file that was named? A copy is another one",
            ));
        }
        let written = self.output.write(learned)?;
        let files: BTreeSet<PathBuf> = written.iter().map(|w| w.file.clone()).collect();
        // A policy gets a longer name when another binary of the same name comes up.
        for old in self.files.difference(&files) {
            drop(Place::of(old).map(|place| fs::remove_file(place.path())));
        }
        self.files = files;
        Ok(written)
    }
}
