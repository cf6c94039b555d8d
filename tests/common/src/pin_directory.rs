//! A directory to pin enforcement in, and the commands that are given it.

use crate::binary;
use crate::lab::{Ended, Lab, Running};
use nix::errno::Errno;
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory to pin in, in a file system of one test's. What is left there ends with it.
pub struct PinDirectory(pub PathBuf);

impl PinDirectory {
    /// Mounts a bpf file system in the directory of a test.
    pub fn new(lab: &Lab) -> Self {
        let at = lab.fresh("bpf");
        fs::create_dir(&at).unwrap();
        mount(Some("bpf"), &at, Some("bpf"), MsFlags::empty(), None::<&str>).unwrap();
        PinDirectory(at.join("sysfsm"))
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(binary());
        command.args([subcommand, "--json", "--pins"]).arg(&self.0);
        command
    }

    /// The command that enforces policies with pins here.
    pub fn enforce(&self, policies: &Path, options: &[&str]) -> Command {
        let mut command = self.command("enforce");
        command.args(options).arg("--policy").arg(policies);
        command
    }

    /// Starts an agent, and waits until it says what became of the policies.
    pub fn agent(&self, lab: &Lab, policies: &Path, options: &[&str], pinned: &str) -> Running {
        let mut agent = lab.start(self.enforce(policies, options).arg("--pin"));
        let said = agent.said(|said| said.contains("\"event\":\"start\""));
        assert_eq!(event(&said, "start")["outcome"], pinned, "{said}{}", agent.stderr());
        agent
    }

    /// The exit status and the answer of `status`.
    pub fn status(&self, lab: &Lab) -> (Option<i32>, Value) {
        let ended = lab.start(&mut self.command("status")).end();
        (ended.status.code(), serde_json::from_str(&ended.stdout).unwrap_or_default())
    }

    /// Has the policies read again.
    pub fn reload(&self, lab: &Lab) -> Ended {
        lab.start(&mut self.command("reload")).end()
    }

    /// Ends what is pinned; the event that says so.
    pub fn stop(&self, lab: &Lab) -> Value {
        event(&lab.start(&mut self.command("stop")).end().well("stop").stdout, "stop")
    }
}

impl Drop for PinDirectory {
    fn drop(&mut self) {
        let _ = self.command("stop").output();
        // Agents of a test that has failed may still be there. A saboteur may have been here
        // before.
        match umount2(self.0.parent().unwrap(), MntFlags::MNT_DETACH) {
            Err(Errno::EINVAL) => {}
            done => done.unwrap(),
        }
    }
}

/// The last event of a kind.
pub fn event(said: &str, kind: &str) -> Value {
    let mut events = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.rfind(|e| e["event"] == kind).unwrap_or_default()
}
