//! Policies that others than root may write are refused, and what mends that is said.

use nix::unistd::chown;
use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{mode, Ended, Lab, NOBODY};
use sysfsm_testing::pin_directory::{event, PinDirectory};
use sysfsm_testing::shell::Shell;

/// A policy `above/policies/policy.json`, which only root may write.
struct Policies {
    lab: Lab,
    shell: Shell,
    above: PathBuf,
    directory: PathBuf,
    file: PathBuf,
}

impl Policies {
    fn new() -> Self {
        let lab = Lab::new();
        let shell = Shell::new(&lab, "shell");
        let above = lab.path("above");
        let directory = above.join("policies");
        let file = directory.join("policy.json");
        fs::create_dir_all(&directory).unwrap();
        fs::copy(&shell.policy, &file).unwrap();
        Policies { lab, shell, above, directory, file }
    }

    fn enforce(&self, policy: &Path, options: &[&str]) -> Ended {
        let mut enforce = Command::new(binary());
        enforce.args(["enforce", "--at-most", "kill"]).args(options).arg("--policy").arg(policy);
        self.lab.start(enforce.args(["--", "true"])).end()
    }

    /// Asserts that a policy, by its file and by its directory, is refused because of this path.
    /// Then does what the hint says, and asserts that the policy is taken.
    #[track_caller]
    fn refused(&self, wrong: &Path, given: &[&Path]) {
        let mut command = String::new();
        for policy in given {
            let ended = self.enforce(policy, &[]);
            assert_eq!(ended.status.code(), Some(2), "{}: {}", policy.display(), ended.stdout);
            let named = format!("`{}`", wrong.display());
            assert!(ended.stderr.contains(&named), "{named}: {}", ended.stderr);
            assert!(ended.stderr.contains("--trust-writable"), "{}", ended.stderr);
            let hint = ended.stderr.split("hint: ").nth(1).unwrap();
            command = hint.split(';').next().unwrap().to_string();
        }
        let mended = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(mended.success(), "{command}");
        for policy in given {
            self.enforce(policy, &[]).well(&command);
        }
    }
}

#[test]
fn what_belongs_to_the_user_of_sudo_is_roots() {
    let policies = Policies::new();
    let Policies { lab, above, directory, file, .. } = &policies;
    let enforce = |user: &str| {
        let mut enforce = Command::new(binary());
        enforce.args(["enforce", "--at-most", "kill", "--policy"]).arg(file).args(["--", "true"]);
        lab.start(enforce.env("SUDO_UID", user)).end()
    };
    for path in [file, directory, above] {
        chown(path, Some(NOBODY.into()), None).unwrap();
        enforce(&NOBODY.to_string()).well("a policy of the user of sudo");
        for other in ["1", "", "root", "-1"] {
            assert_eq!(enforce(other).status.code(), Some(2), "SUDO_UID={other}");
        }
    }
    mode(file, 0o664);
    assert_eq!(enforce(&NOBODY.to_string()).status.code(), Some(2), "others may write it");
}

#[test]
fn what_others_may_write_is_no_policy() {
    let policies = Policies::new();
    let Policies { above, directory, file, .. } = &policies;
    for path in [file, directory] {
        policies.enforce(path, &[]).well("root's own");
    }
    let given: [&Path; 2] = [file, directory];
    for (path, permissions) in [(file, 0o664), (file, 0o646), (directory, 0o775), (above, 0o757)] {
        mode(path, permissions);
        policies.enforce(directory, &["--trust-writable"]).well("--trust-writable");
        policies.refused(path, &given);
    }
    for path in [file, directory, above] {
        chown(path, Some(NOBODY.into()), None).unwrap();
        policies.refused(path, &given);
    }
    // Whoever may write a sticky directory may add a policy, but not take one away.
    mode(directory, 0o1777);
    policies.enforce(file, &[]).well("root's file in a sticky directory");
    policies.refused(directory, &[directory]);
    mode(above, 0o1777);
    policies.enforce(directory, &[]).well("root's directory in a sticky one");
    mode(above, 0o755);

    // A link is as good as who made it, and what it leads to.
    let link = policies.lab.path("shared").join("link");
    fs::create_dir(policies.lab.path("shared")).unwrap();
    mode(&policies.lab.path("shared"), 0o1777);
    symlink(directory, &link).unwrap();
    policies.enforce(&link, &[]).well("root's link");
    mode(file, 0o666);
    assert_eq!(policies.enforce(&link, &[]).status.code(), Some(2));
    mode(file, 0o644);
    lchown(&link, Some(NOBODY), None).unwrap();
    policies.refused(&link, &[&link, &link.join("policy.json")]);
    symlink(policies.lab.path("outside"), directory.join("outside.json")).unwrap();
    fs::copy(file, policies.lab.path("outside")).unwrap();
    fs::remove_file(file).unwrap();
    policies.enforce(directory, &[]).well("a link out of the directory");
    mode(&policies.lab.path("outside"), 0o666);
    policies.refused(&policies.lab.path("outside"), &[directory]);
}

#[test]
fn a_reload_of_what_others_may_write_changes_nothing() {
    let policies = Policies::new();
    let pins = PinDirectory::new(&policies.lab);
    let options = ["--at-most", "kill"];
    let mut agent = pins.agent(&policies.lab, &policies.directory, &options, "pinned");
    mode(&policies.directory, 0o777);
    let reload = pins.reload(&policies.lab);
    assert_eq!(reload.status.code(), Some(2), "{}", reload.stdout);
    let said = agent.said(|said| event(said, "reload")["error"].is_string());
    let refused = event(&said, "reload");
    let named = format!("`{}`", policies.directory.display());
    assert!(refused["error"].as_str().unwrap().contains(&named), "{refused}");
    assert!(refused["hint"].as_str().unwrap().contains("chmod go-w"), "{refused}");
    assert!(policies.shell.attack(&policies.lab).killed(), "what was enforced still is");
    mode(&policies.directory, 0o755);
    pins.reload(&policies.lab).well("reload");
}

#[test]
fn a_policy_from_a_pipe_is_the_callers() {
    let policies = Policies::new();
    let line = r#""$0" enforce --at-most kill --policy - -- true <"$1" &&
        "$0" enforce --at-most kill --policy <(cat "$1") -- true"#;
    let mut shell = Command::new("bash");
    shell.args(["-c", line, binary()]).arg(&policies.file);
    policies.lab.start(&mut shell).end().well("pipes");
}
