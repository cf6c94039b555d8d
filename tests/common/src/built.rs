//! Where cargo has put what is tested.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static SYSFSM: LazyLock<String> = LazyLock::new(|| built("sysfsm").display().to_string());

/// The path of the binary under test.
pub fn binary() -> &'static str {
    &SYSFSM
}

/// The path of a program of tests/programs, as it was built.
pub fn fixture(name: &str) -> PathBuf {
    built(name)
}

/// What cargo has built in the profile of this test, which itself is in the profile's `deps`.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test is a file");
    let profile = test.ancestors().nth(2).unwrap_or(Path::new("."));
    let program = profile.join(name);
    let hint = "cargo build --workspace, in the same profile";
    assert!(program.exists(), "{} is missing: {hint}", program.display());
    program
}
