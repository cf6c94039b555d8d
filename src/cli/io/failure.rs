//! An error as the user sees it: what, then a hint.

use crate::cli::events::event::{Event, Kind};
#[cfg(feature = "kernel")]
use crate::kernel::KernelError;
use crate::ownership::PathError;
use crate::policy::LoadError;
use serde_json::{json, Value};
use std::fmt;
use std::io;

/// What was to be enforced is: something else has failed.
#[cfg(feature = "kernel")]
pub(crate) const ALL_THE_SAME: &str = "the policies are enforced all the same";

/// What was enforced still is.
#[cfg(feature = "kernel")]
pub(crate) const AS_BEFORE: &str = "nothing was changed: what was enforced still is";

/// What was to be enforced is, but for threads that were to be adopted.
#[cfg(feature = "kernel")]
const BETWEEN: &str =
    "the policies are enforced, but perhaps not for what ran before them: do it again";

/// Why a subcommand ends with exit status 2.
#[derive(Debug)]
pub struct Failure {
    /// Everything that is wrong: what, and a hint; at least one.
    problems: Vec<(String, String)>,
    broken_pipe: bool,
    /// What that means for what the kernel enforces, if it outlives the subcommand.
    #[cfg(feature = "kernel")]
    consequence: Option<&'static str>,
}

impl Failure {
    /// An error that names the object and the value, and what to do about it.
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure::several(vec![(what.into(), hint.into())])
    }

    /// Several errors, each with its hint.
    pub(crate) fn several(mut problems: Vec<(String, String)>) -> Self {
        if problems.is_empty() {
            problems.push(("nothing to do".into(), String::new()));
        }
        Failure {
            problems,
            broken_pipe: false,
            #[cfg(feature = "kernel")]
            consequence: None,
        }
    }

    /// An error of writing to `to`. A reader that has gone away is no error for the user.
    pub(crate) fn writing(to: &str, error: &io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        let what = format!("cannot write `{to}`: {error}");
        Failure {
            broken_pipe,
            ..Failure::new(what, "check the directory, its permissions and the space")
        }
    }

    /// The place of an output cannot be reached.
    pub(crate) fn placing(to: &str, error: &PathError) -> Self {
        match error {
            PathError::Io { cause, .. } => Failure::writing(to, cause),
            PathError::Untrusted(untrusted) => Failure::new(
                format!("cannot write `{to}`: {untrusted}"),
                format!("choose another directory, or: {}", untrusted.command()),
            ),
        }
    }

    /// Names the file in which the failure was found.
    pub(crate) fn within(mut self, file: &str) -> Self {
        for (what, _) in &mut self.problems {
            *what = format!("{file}: {what}");
        }
        self
    }

    /// What has failed, without the hints.
    #[cfg(feature = "kernel")]
    pub(crate) fn what(&self) -> String {
        let whats: Vec<&str> = self.problems.iter().map(|(what, _)| what.as_str()).collect();
        whats.join("\n")
    }

    /// Says what the failure means for what is enforced, unless that was said.
    #[cfg(feature = "kernel")]
    pub(crate) fn leaving(mut self, consequence: &'static str) -> Self {
        self.consequence.get_or_insert(consequence);
        self
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }

    /// The failure as an event: the first problem is `error` and `hint`, the others are `others`.
    pub(crate) fn event(&self) -> Event {
        self.describe(Event::new(Kind::Error))
    }

    /// Adds the failure to an event.
    pub(crate) fn describe(&self, mut event: Event) -> Event {
        let mut problems = self.problems.iter();
        if let Some((what, hint)) = problems.next() {
            event = event.with("error", what.as_str()).with("hint", hint.as_str());
        }
        let others: Vec<Value> =
            problems.map(|(what, hint)| json!({"error": what, "hint": hint})).collect();
        if !others.is_empty() {
            event = event.with("others", others);
        }
        #[cfg(feature = "kernel")]
        {
            event = event.with_some("consequence", self.consequence);
        }
        event.saying(self.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (what, hint)) in self.problems.iter().enumerate() {
            let gap = if index > 0 { "\n" } else { "" };
            write!(f, "{gap}error: {what}")?;
            if !hint.is_empty() {
                write!(f, "\nhint: {hint}")?;
            }
        }
        #[cfg(feature = "kernel")]
        if let Some(consequence) = self.consequence {
            write!(f, "\n{consequence}")?;
        }
        Ok(())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Failure::several(error.0)
    }
}

#[cfg(feature = "kernel")]
impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        match error {
            KernelError::Bind(problems) => Failure::several(problems),
            KernelError::NotCleared(error) => Failure::from(*error).leaving(ALL_THE_SAME),
            KernelError::NotAdopted(error) => Failure::from(*error).leaving(BETWEEN),
            other => Failure::new(other.to_string(), other.hint()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_one_object_whatever_is_wrong() {
        let failure = Failure::several(vec![
            ("a: no".into(), "write yes".into()),
            ("b: no".into(), "write yes".into()),
        ]);
        assert_eq!(
            failure.to_string(),
            "error: a: no\nhint: write yes\nerror: b: no\nhint: write yes"
        );
        assert_eq!(
            failure.event().to_json(),
            r#"{"event":"error","error":"a: no","hint":"write yes","others":[{"error":"b: no","hint":"write yes"}]}"#
        );
    }
}
