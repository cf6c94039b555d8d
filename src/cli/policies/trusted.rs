//! Policies that nobody else can change: whoever may write one decides what is enforced as root.

use crate::cli::io::failure::Failure;
use crate::ownership::{follow_trusting, sudo_user, Found, PathError};
use crate::text::shown;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Requires that nobody but root and the user of this process, or of sudo, can change the policies:
/// the files, their directories, and every directory and link on the way.
///
/// # Errors
/// Others can, or a path leads nowhere.
pub(crate) fn require_trusted(paths: &[PathBuf]) -> Result<(), Failure> {
    let problems: Vec<_> = paths.iter().flat_map(|path| problems(path)).collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::several(problems))
    }
}

/// What is wrong with a path, and with the policies in it if it is a directory.
fn problems(path: &Path) -> Vec<(String, String)> {
    // Standard input has no path.
    if path == Path::new("-") {
        return Vec::new();
    }
    let found = match look(path) {
        Ok(found) => found.path,
        // What a descriptor of this process leads to has no path: `--policy <(command)`.
        Err(PathError::Io { path, cause })
            if cause.kind() == ErrorKind::NotFound && path.starts_with("/proc") =>
        {
            return Vec::new();
        }
        Err(error) => return vec![problem(path, &error)],
    };
    // A file has no entries. A directory that cannot be listed is an error of who reads it.
    let entries = fs::read_dir(&found).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|end| end == "json"))
        .filter_map(|file| match look(&file) {
            // It was there just now, and nobody else can have taken it away.
            Err(PathError::Io { path, .. }) if path == file => None,
            checked => checked.err().map(|error| problem(&file, &error)),
        })
        .collect()
}

/// Follows a path to what nobody else can change.
fn look(path: &Path) -> Result<Found, PathError> {
    let found = follow_trusting(path, sudo_user())?;
    found.require_own()?;
    Ok(found)
}

/// An error and its hint.
fn problem(path: &Path, error: &PathError) -> (String, String) {
    let path = shown(path);
    match error {
        PathError::Untrusted(untrusted) => (
            format!("the policy `{path}` is not safe: {untrusted}"),
            format!("{}; or take the policies as they are: --trust-writable", untrusted.command()),
        ),
        PathError::Io { cause, .. } => (
            format!("cannot read the policy `{path}`: {cause}"),
            "give a policy file, or a directory of policies (*.json)".into(),
        ),
    }
}
