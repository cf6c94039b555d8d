//! The command line under test.

use crate::binary;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

/// Runs the binary with these arguments in a directory.
pub fn sysfsm(dir: &Path, args: &[&str]) -> Output {
    Command::new(binary())
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// What a program has written, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit status 2, nothing on stdout, and an error with a hint that says all of `parts`.
#[track_caller]
pub fn fails(output: &Output, parts: &[&str]) {
    let stderr = text(&output.stderr);
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    assert!(stderr.starts_with("error: "), "{stderr}");
    refused(output.status, &stderr, parts);
}

/// Exit status 2, and, among what went to stderr, an error with a hint that says all of `parts`.
#[track_caller]
pub fn refused(status: ExitStatus, stderr: &str, parts: &[&str]) {
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: ") && stderr.contains("\nhint: "), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} in {stderr}");
    }
}
