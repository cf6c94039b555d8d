//! Work under `record`.

use nix::sys::signal::{kill, Signal};
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::lab::Lab;

/// Records a binary while something is done; the policy, and what came of the work.
pub fn record<T>(lab: &Lab, binary: &Path, work: impl FnOnce() -> T) -> (PathBuf, T) {
    let to = lab.fresh("recorded");
    let mut command = Command::new(sysfsm_testing::binary());
    command.args(["record", "--json", "-o"]).arg(&to).arg("--binary").arg(binary);
    let mut recorder = lab.start(&mut command);
    recorder.complained(|said| said.contains("\"event\":\"start\""));
    let done = work();
    kill(recorder.pid(), Signal::SIGTERM).unwrap();
    let ended = recorder.end().well("record");
    assert!(ended.stderr.contains("\"transitions\""), "{}", ended.stderr);
    (to, done)
}
