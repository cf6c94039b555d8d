//! Writing files so that a reader sees the old one or the new one, never a half.

use super::Failure;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// Writes `text` to a file, to `-` (stdout), or to what is no regular file (a pipe, a device).
pub(super) fn write(to: &Path, text: &str) -> Result<(), Failure> {
    let name = to.display().to_string();
    if to == Path::new("-") {
        let mut stdout = io::stdout().lock();
        return stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|e| Failure::writing("stdout", &e));
    }
    let special = fs::metadata(to).is_ok_and(|m| !m.is_file());
    let outcome = if special { fs::write(to, text) } else { replace(to, text) };
    outcome.map_err(|e| Failure::writing(&name, &e))
}

fn replace(to: &Path, text: &str) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    let new = to.with_file_name(name);
    let outcome = fs::File::create(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, to));
    if outcome.is_err() {
        drop(fs::remove_file(&new));
    }
    outcome
}

/// Prints a line to stdout.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}").map_err(|e| Failure::writing("stdout", &e))
}
