//! Where policies go: their names, and writing files so that a reader sees the old one or the new
//! one, never a half.

use crate::cli::events::event::Event;
use crate::cli::io::failure::Failure;
use crate::ownership::{is_own_entry, make_directory, Place};
use crate::text::{said, shown, UntrustedText};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Writes `text` to a file, to `-` (stdout), or to what is no regular file (a pipe, a device).
pub(crate) fn write(to: &Path, text: &str) -> Result<(), Failure> {
    let name = shown(&to).to_string();
    if to == Path::new("-") {
        let mut stdout = io::stdout().lock();
        return stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|e| Failure::writing("stdout", &e));
    }
    let place = Place::of(to).map_err(|e| Failure::placing(&name, &e))?;
    let to = place.path();
    // A pipe or a link that somebody else has put there is replaced. /dev/stdout is not, whatever
    // file it leads to.
    let of_process = || fs::read_link(to).is_ok_and(|target| target.starts_with("/proc"));
    let special = (of_process() || fs::metadata(to).is_ok_and(|m| !m.is_file()))
        && is_own_entry(to).unwrap_or(false);
    let outcome = if special { fs::write(to, text) } else { replace(to, text) };
    outcome.map_err(|e| Failure::writing(&name, &e))
}

fn replace(to: &Path, text: &str) -> io::Result<()> {
    // A name that nobody can guess, and a file that was not there, nor a link to one.
    let random = RandomState::new().hash_one(std::process::id());
    let mut name = std::ffi::OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(format!(".{random:016x}.new"));
    let new = to.with_file_name(name);
    let mut file = fs::File::create_new(&new)?;
    let outcome = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, to));
    if outcome.is_err() {
        drop(fs::remove_file(&new));
    }
    outcome
}

/// Prints a line to stdout.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{}", said(text)).map_err(|e| Failure::writing("stdout", &e))
}

/// Prints an event to stdout, as JSON.
pub(crate) fn event(event: &Event) -> Result<(), Failure> {
    line(&event.to_json())
}

/// A file's name for messages.
pub(crate) fn named(file: &Path) -> UntrustedText {
    if file == Path::new("-") {
        "stdout".into()
    } else {
        file.as_os_str().into()
    }
}

/// Whether `output` means a directory: one that is there, or that is written as one.
pub(crate) fn is_directory(output: &Path) -> bool {
    output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// A file for the policy of each binary: `output` itself, or one in the directory `output`, which
/// is made.
pub(crate) fn policy_files(binaries: &[&str], output: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !is_directory(output) {
        return Ok(vec![output.to_path_buf(); binaries.len()]);
    }
    make_directory(output).map_err(|e| Failure::placing(&shown(&output).to_string(), &e))?;
    Ok(file_names(binaries).into_iter().map(|name| output.join(name)).collect())
}

/// One name for each policy: the binary's file name, or its whole path where two have the same.
fn file_names(binaries: &[&str]) -> Vec<String> {
    let base = |binary: &str| binary.rsplit('/').next().unwrap_or_default().to_string();
    let mut taken = BTreeSet::new();
    binaries
        .iter()
        .map(|binary| {
            let name = base(binary);
            let twins = binaries.iter().filter(|o| base(o) == name).count();
            let mut stem = if twins > 1 || name.is_empty() {
                // No dot in front: the file would be hidden.
                binary.trim_start_matches(['.', '/']).trim_end_matches('/').replace('/', "-")
            } else {
                name
            };
            while !taken.insert(stem.clone()) {
                stem.push('_');
            }
            format!("{stem}.json")
        })
        .collect()
}
