//! What was learned, from logs or from the kernel, as policy files; and what is said of each.

use crate::cli::format::count::counted;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::policies::selector::with_cgroup;
use crate::cli::policies::{coverage, warnings};
use crate::machine::Learned;
use crate::policy::{Action, Children, Policy};
use crate::text::UntrustedText;
use serde_json::{json, Value};
use std::path::{Path, PathBuf};

/// Where policies go: a file, stdout, or a directory with one for each binary.
pub(crate) struct PolicyOutput {
    to: PathBuf,
    directory: bool,
}

/// A policy, and the file that it was written to.
pub(crate) struct Written {
    pub policy: Policy,
    pub file: PathBuf,
}

impl PolicyOutput {
    /// What the user has given: DIR is a directory that exists, or ends in a slash.
    pub(crate) fn new(to: &Path) -> Self {
        PolicyOutput { to: to.to_path_buf(), directory: output::is_directory(to) }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.directory
    }

    /// Writes a policy for each; into a file only one goes.
    pub(crate) fn write(&self, learned: Vec<Learned>) -> Result<Vec<Written>, Failure> {
        let binaries: Vec<&str> = learned.iter().map(|l| &*l.binary).collect();
        let files = output::policy_files(&binaries, &self.to)?;
        let mut written = Vec::new();
        for (policy, file) in learned.into_iter().map(policy).zip(files) {
            output::write(&file, &policy.to_json())?;
            written.push(Written { policy, file });
        }
        Ok(written)
    }
}

/// The policy that was learned, its other settings the defaults.
pub(crate) fn policy(learned: Learned) -> Policy {
    Policy {
        binary: (&*learned.binary).into(),
        cgroup: None,
        action: Action::default(),
        children: Children::default(),
        runs: learned.runs,
        machine: learned.machine,
    }
}

impl Written {
    /// What it is, and how complete: a line each.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: {}, {}, {} → {}\ncoverage: {}",
            self.policy.binary,
            counted(self.policy.runs, "run"),
            counted(self.policy.machine.rows().len() as u64, "state"),
            counted(self.policy.machine.transitions() as u64, "transition"),
            output::named(&self.file),
            coverage::line(&self.policy),
        )
    }

    /// The policy as a value of `policies`.
    pub(crate) fn json(&self) -> Value {
        let value = json!({
            "policy": self.policy.binary,
            "policy_file": UntrustedText::from(self.file.as_os_str()),
            "depth": self.policy.machine.depth().get(),
            "runs": self.policy.runs,
            "states": self.policy.machine.rows().len(),
            "transitions": self.policy.machine.transitions(),
            "coverage": coverage::json(&self.policy),
            "warnings": warnings::json(&self.policy),
        });
        with_cgroup(value, &self.policy.selector())
    }
}
