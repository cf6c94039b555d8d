//! What was learned, from logs or from the kernel, as policy files; and what is said of each.

use super::report::counted;
use super::{output, Failure};
use crate::machine::Learned;
use crate::policy::{Action, Children, Policy};
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where policies go: a file, stdout, or a directory with one for each binary.
pub(super) struct PolicyOutput {
    to: PathBuf,
    directory: bool,
}

/// A policy, and the file that it was written to.
pub(super) struct Written {
    pub policy: Policy,
    pub file: PathBuf,
}

impl PolicyOutput {
    /// What the user has given: DIR is a directory that exists, or ends in a slash.
    pub(super) fn new(to: &Path) -> Self {
        let directory = to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/");
        PolicyOutput { to: to.to_path_buf(), directory }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.directory
    }

    /// Writes a policy for each; into a file only one goes.
    pub(super) fn write(&self, learned: Vec<Learned>) -> Result<Vec<Written>, Failure> {
        let files = if self.directory { file_names(&learned, &self.to) } else { vec![self.to.clone()] };
        if self.directory {
            std::fs::create_dir_all(&self.to)
                .map_err(|e| Failure::writing(&self.to.display().to_string(), &e))?;
        }
        let mut written = Vec::new();
        for (learned, file) in learned.into_iter().zip(files) {
            let policy = Policy {
                binary: learned.binary.to_string(),
                action: Action::default(),
                children: Children::default(),
                runs: learned.runs,
                machine: learned.machine,
            };
            output::write(&file, &policy.to_json())?;
            written.push(Written { policy, file });
        }
        Ok(written)
    }
}

impl Written {
    /// What it is, in a line. (How complete it is belongs here, too.)
    pub(super) fn line(&self) -> String {
        format!(
            "{}: {}, {}, {} → {}",
            self.policy.binary,
            counted(self.policy.runs, "run"),
            counted(self.policy.machine.rows().len() as u64, "state"),
            counted(self.policy.machine.transitions() as u64, "transition"),
            if self.file == Path::new("-") { "stdout".into() } else { self.file.display().to_string() },
        )
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "binary": self.policy.binary,
            "file": self.file.display().to_string(),
            "depth": self.policy.machine.depth().get(),
            "runs": self.policy.runs,
            "states": self.policy.machine.rows().len(),
            "transitions": self.policy.machine.transitions(),
            "warnings": self.policy.warnings(),
        })
    }
}

/// One name for each policy: the binary's file name, or its whole path where two have the same.
fn file_names(learned: &[Learned], directory: &Path) -> Vec<PathBuf> {
    let base = |l: &Learned| l.binary.rsplit('/').next().unwrap_or_default().to_string();
    let mut taken = BTreeSet::new();
    learned
        .iter()
        .map(|l| {
            let name = base(l);
            let twins = learned.iter().filter(|o| base(o) == name).count();
            let mut stem = if twins > 1 || name.is_empty() {
                // No dot in front: the file would be hidden.
                l.binary.trim_start_matches(['.', '/']).trim_end_matches('/').replace('/', "-")
            } else {
                name
            };
            while !taken.insert(stem.clone()) {
                stem.push('_');
            }
            directory.join(format!("{stem}.json"))
        })
        .collect()
}
