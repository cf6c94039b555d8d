//! Two policies of one binary → one.

use crate::machine::Depth;
use crate::policy::action::{Action, Children};
use crate::policy::definition::Policy;
use crate::text::UntrustedText;

/// Why two policies do not make one: what each of them says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// They bind different binaries.
    #[error("binary `{0}` and binary `{1}`")]
    Binary(UntrustedText, UntrustedText),
    /// They hold in different cgroups.
    #[error("cgroup `{}` and cgroup `{}`", or_any(.0.as_ref()), or_any(.1.as_ref()))]
    Cgroup(Option<UntrustedText>, Option<UntrustedText>),
    /// Their contexts have different lengths.
    #[error("depth `{0}` and depth `{1}`")]
    Depth(Depth, Depth),
    /// They do different things on a violation.
    #[error("action `{0}` and action `{1}`")]
    Action(Action, Action),
    /// They do different things with children.
    #[error("children `{}` and children `{}`", .0.as_str(), .1.as_str())]
    Children(Children, Children),
}

fn or_any(cgroup: Option<&UntrustedText>) -> String {
    cgroup.map_or_else(|| "any".into(), ToString::to_string)
}

impl MergeError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            MergeError::Binary(..) => "only policies of one binary make one",
            MergeError::Cgroup(..) => "a policy for a cgroup is one of its own",
            MergeError::Depth(..) => "learn both at one depth: extract --depth K",
            MergeError::Action(..) => {
                "decide for one of them, and write it as \"action\" into both files"
            }
            MergeError::Children(..) => {
                "decide for one of them, and write it as \"children\" into both files"
            }
        }
    }
}

impl Policy {
    /// Adds what another policy of the same binary has seen: transitions unite, calls and runs add;
    /// associative and commutative.
    ///
    /// # Errors
    /// What the two disagree on; then nothing was added.
    pub fn merge(&mut self, other: &Policy) -> Result<(), MergeError> {
        if self.binary != other.binary {
            return Err(MergeError::Binary(self.binary.clone(), other.binary.clone()));
        }
        if self.cgroup != other.cgroup {
            return Err(MergeError::Cgroup(self.cgroup.clone(), other.cgroup.clone()));
        }
        if self.action != other.action {
            return Err(MergeError::Action(self.action, other.action));
        }
        if self.children != other.children {
            return Err(MergeError::Children(self.children, other.children));
        }
        let depth = self.machine.depth();
        self.machine.merge(&other.machine).map_err(|theirs| MergeError::Depth(depth, theirs))?;
        self.runs = self.runs.saturating_add(other.runs);
        Ok(())
    }
}
