//! An error as the user sees it: what, then a hint.

#[cfg(feature = "kernel")]
use crate::kernel::KernelError;
use crate::policy::LoadError;
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

/// Why a command ends with exit status 2.
#[derive(Debug)]
pub struct Failure {
    what: String,
    hint: String,
    broken_pipe: bool,
    /// How it leaves what the kernel enforces, if that outlives the command.
    #[cfg(feature = "kernel")]
    left: Option<&'static str>,
}

impl Failure {
    /// An error that names the object and the value, and what to do about it.
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Failure {
            what: what.into(),
            hint: hint.into(),
            broken_pipe: false,
            #[cfg(feature = "kernel")]
            left: None,
        }
    }

    /// An error of writing to `to`. That a reader has gone away is none.
    pub(crate) fn writing(to: &str, error: &io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        let what = format!("cannot write `{to}`: {error}");
        Failure {
            broken_pipe,
            ..Failure::new(what, "check the directory, its permissions and the space")
        }
    }

    /// The same, of this file.
    pub(crate) fn within(mut self, file: &str) -> Self {
        self.what = format!("{file}: {}", self.what);
        self
    }

    /// What has failed, without the hint.
    #[cfg(feature = "kernel")]
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The same, with how it leaves what is enforced, unless that was said.
    #[cfg(feature = "kernel")]
    pub(crate) fn leaving(mut self, left: &'static str) -> Self {
        self.left.get_or_insert(left);
        self
    }

    /// How it leaves what is enforced.
    #[cfg(feature = "kernel")]
    pub(crate) fn left(&self) -> Option<&'static str> {
        self.left
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        #[cfg(feature = "kernel")]
        if let Some(left) = self.left {
            write!(f, "\n{left}")?;
        }
        Ok(())
    }
}

/// The last problem's hint stays apart from the list of the others.
fn listed(mut problems: Vec<(String, String)>) -> Failure {
    let Some((what, hint)) = problems.pop() else {
        return Failure::new("nothing to do", "");
    };
    let mut text = String::new();
    for (earlier, hint) in problems {
        for part in [&earlier, "\nhint: ", &hint, "\nerror: "] {
            text.push_str(part);
        }
    }
    Failure::new(text + &what, hint)
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        listed(error.0)
    }
}

#[cfg(feature = "kernel")]
impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        match error {
            KernelError::Bind(problems) => listed(problems),
            KernelError::Late(error) => Failure::from(*error).leaving(ALL_THE_SAME),
            KernelError::Between(error) => Failure::from(*error).leaving(BETWEEN),
            other => Failure::new(other.to_string(), other.hint()),
        }
    }
}
