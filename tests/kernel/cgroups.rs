//! Policies for cgroups: where they hold, which of several does, and that only the moment of the
//! exec counts.

use super::identity::hold;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use sysfsm_testing::lab::{Lab, Running};
use sysfsm_testing::pin_directory::PinDirectory;
use sysfsm_testing::shell::{Shell, ECHOES};

/// What the narrow policies were not learned with, and the wide ones were.
const PRIES: &str = "read x; echo \"$x\"; kill -0 $$; echo pried";

/// A cgroup of one test's, and those that it makes below.
pub(crate) struct Groups {
    pub(crate) at: PathBuf,
    /// Its path in the hierarchy.
    name: String,
}

impl Groups {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = |line: &&str| line.split(" - ").nth(1).unwrap().starts_with("cgroup2 ");
        let line = mounts.lines().find(mount).expect("a mounted hierarchy of cgroups, version 2");
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[3], "/", "only a part of the hierarchy is mounted: {line}");
        let name = format!(
            "/sysfsm-test-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let groups = Groups { at: PathBuf::from(format!("{}{name}", words[4])), name };
        fs::create_dir(&groups.at).unwrap();
        groups
    }

    /// Makes one below; its path in the hierarchy.
    pub(crate) fn add(&self, below: &str) -> String {
        fs::create_dir_all(self.at.join(below)).unwrap();
        format!("{}/{below}", self.name)
    }

    fn enter(&self, below: &str, running: &Running) {
        fs::write(self.at.join(below).join("cgroup.procs"), running.pid().to_string()).unwrap();
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        fn remove(group: &Path) {
            for entry in fs::read_dir(group).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    remove(&entry.path());
                }
            }
            // One that is still ending is in there for a moment longer.
            for _ in 0..500 {
                match fs::remove_dir(group) {
                    Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(std::time::Duration::from_millis(10));
                    }
                    _ => break,
                }
            }
        }
        remove(&self.at);
    }
}

/// Two copies of a shell, and two machines: the narrow one kills who pries, the wide one does not.
struct Shells {
    lab: Lab,
    groups: Groups,
    one: PathBuf,
    other: PathBuf,
    narrow: PathBuf,
    wide: PathBuf,
}

impl Shells {
    fn new() -> Self {
        let lab = Lab::new();
        let Shell { binary, policy } = Shell::new(&lab, "one");
        let other = lab.copy(Path::new("/bin/dash"), "other");
        let wide = lab.learn(&binary, &[(&["-c", ECHOES], "a\nb\nc"), (&["-c", PRIES], "a")]);
        fs::create_dir(lab.path("policies")).unwrap();
        Shells { groups: Groups::new(), one: binary, other, narrow: policy, wide, lab }
    }

    /// A policy with this machine, among those that are to be enforced.
    fn policy(&self, machine: &Path, binary: &str, cgroup: Option<&str>) {
        let mut policy = self.lab.with(machine, "binary", json!(binary));
        if let Some(cgroup) = cgroup {
            policy = self.lab.with(&policy, "cgroup", json!(cgroup));
        }
        let name = policy.file_name().unwrap().to_str().unwrap();
        fs::copy(&policy, self.lab.path("policies").join(format!("{name}.json"))).unwrap();
    }

    /// Has them enforced, by nobody.
    fn hold(&self) -> PinDirectory {
        hold(&self.lab, &self.lab.path("policies"), &[])
    }

    fn one(&self) -> &str {
        self.one.to_str().unwrap()
    }

    /// Starts a shell in a cgroup, or where the test is.
    fn start(&self, shell: &Path, group: Option<&str>, script: &str) -> Running {
        let Some(group) = group else {
            return self.lab.start(Command::new(shell).args(["-c", script]));
        };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo $$ >\"$0\"; PWD=/dev exec \"$@\""]);
        command
            .arg(self.groups.at.join(group).join("cgroup.procs"))
            .arg(shell)
            .args(["-c", script]);
        self.lab.start(&mut command)
    }

    /// Asserts that a shell is held to the narrow policy in a cgroup, or that it is not.
    #[track_caller]
    fn look(&self, shell: &Path, group: Option<&str>, narrow: bool) {
        let place = group.unwrap_or("outside");
        let mut prying = self.start(shell, group, PRIES);
        prying.say("a");
        let ended = prying.end();
        assert_eq!(ended.killed(), narrow, "{} in {place}: {}", shell.display(), ended.status);
        assert!(narrow || ended.stdout == "a\npried\n", "{place}: {}", ended.stdout);
        let mut lawful = self.start(shell, group, ECHOES);
        lawful.say("a\nb");
        assert_eq!(lawful.end().well(place).stdout, "a\nb\n");
    }
}

#[test]
fn a_policy_for_a_cgroup_holds_in_it_and_below() {
    let shells = Shells::new();
    let cgroup = shells.groups.add("a");
    for group in ["a/b/c", "ab", "b/a"] {
        shells.groups.add(group);
    }
    shells.policy(&shells.narrow, shells.one(), Some(&cgroup));
    let _place = shells.hold();
    for (group, bound) in [
        (None, false),
        (Some(""), false),
        (Some("a"), true),
        (Some("a/b"), true),
        (Some("a/b/c"), true),
        (Some("ab"), false),
        (Some("b/a"), false),
    ] {
        shells.look(&shells.one, group, bound);
        shells.look(&shells.other, group, false);
    }
    // A new file at the path is bound in it as well.
    fs::rename(shells.lab.copy(Path::new("/bin/dash"), "newer"), &shells.one).unwrap();
    shells.look(&shells.one, Some("a"), true);
    shells.look(&shells.one, None, false);
}

#[test]
fn the_highest_cgroup_is_everywhere() {
    let shells = Shells::new();
    shells.groups.add("a/b");
    shells.policy(&shells.narrow, shells.one(), Some("/"));
    let _place = shells.hold();
    for group in [None, Some("a"), Some("a/b")] {
        shells.look(&shells.one, group, true);
    }
    shells.look(&shells.other, Some("a"), false);
}

#[test]
fn of_several_cgroups_the_nearest_one_counts() {
    let shells = Shells::new();
    let (a, b, d) =
        (shells.groups.add("a"), shells.groups.add("a/b"), shells.groups.add("a/b/c/d"));
    shells.policy(&shells.narrow, shells.one(), Some(&a));
    shells.policy(&shells.wide, shells.one(), Some(&b));
    shells.policy(&shells.narrow, shells.one(), Some(&d));
    // And where none of them holds.
    shells.policy(&shells.wide, shells.one(), None);
    shells.groups.add("e");
    let pins = shells.hold();
    for (group, narrow) in
        [("a", true), ("a/b", false), ("a/b/c", false), ("a/b/c/d", true), ("e", false)]
    {
        shells.look(&shells.one, Some(group), narrow);
    }
    shells.look(&shells.one, None, false);
    // Each of them was held to one: it is the exec that the wide policy does not know.
    for group in ["a/b", "e"] {
        let mut leaves =
            shells.start(&shells.one, Some(group), "read x; echo \"$x\"; exec /bin/true");
        leaves.say("a");
        assert!(leaves.end().killed(), "{group}: not watched at all");
    }
    assert_eq!(pins.status(&shells.lab).1["policies"].as_array().unwrap().len(), 4);
}

#[test]
fn any_binary_is_bound_in_a_cgroup_and_one_of_its_own_counts_more() {
    let shells = Shells::new();
    let (a, b, c) = (shells.groups.add("a"), shells.groups.add("a/b"), shells.groups.add("c"));
    shells.groups.add("a/b/c");
    shells.policy(&shells.narrow, "*", Some(&a));
    shells.policy(&shells.wide, "*", Some(&b));
    // Below, a policy of its own beats the nearer one of any; and so does one without a cgroup.
    shells.policy(&shells.narrow, shells.one(), Some(&a));
    let third = shells.lab.copy(Path::new("/bin/dash"), "third");
    shells.policy(&shells.wide, third.to_str().unwrap(), None);
    // Without the key it is any, too.
    let mut value: serde_json::Value =
        serde_json::from_slice(&fs::read(&shells.narrow).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("binary");
    value["cgroup"] = json!(c);
    fs::write(shells.lab.path("policies/any.json"), value.to_string()).unwrap();
    let _place = shells.hold();
    for (shell, group, narrow) in [
        (&shells.other, None, false),
        (&shells.other, Some("a"), true),
        (&shells.other, Some("a/b"), false),
        (&shells.other, Some("a/b/c"), false),
        (&shells.other, Some("c"), true),
        (&shells.one, None, false),
        (&shells.one, Some("a"), true),
        (&shells.one, Some("a/b/c"), true),
        (&shells.one, Some("c"), true),
        (&third, None, false),
        (&third, Some("a"), false),
        (&third, Some("c"), false),
    ] {
        shells.look(shell, group, narrow);
    }
}

#[test]
fn a_cgroup_may_come_after_its_policy() {
    let shells = Shells::new();
    shells.policy(
        &shells.narrow,
        shells.one(),
        Some(&format!("{}/later/below", shells.groups.name)),
    );
    let _place = shells.hold();
    for _ in 0..2 {
        shells.groups.add("later/below");
        shells.look(&shells.one, Some("later/below"), true);
        shells.look(&shells.one, Some("later"), false);
        // Another one by the same name, with another id.
        for group in ["later/below", "later"] {
            fs::remove_dir(shells.groups.at.join(group)).unwrap();
        }
    }
}

#[test]
fn a_move_after_the_exec_changes_nothing() {
    let shells = Shells::new();
    let a = shells.groups.add("a");
    shells.groups.add("b");
    shells.policy(&shells.narrow, shells.one(), Some(&a));
    let _place = shells.hold();
    for (from, to, bound) in [("a", "b", true), ("b", "a", false)] {
        let mut running =
            shells.start(&shells.one, Some(from), &format!("read y; echo here; {PRIES}"));
        running.say("go");
        assert_eq!(running.said(|said| said.contains("here")), "here\n");
        shells.groups.enter(to, &running);
        running.say("a");
        assert_eq!(running.end().killed(), bound, "from {from} to {to}");
    }
}

#[test]
fn running_processes_are_adopted_by_their_cgroups() {
    let shells = Shells::new();
    let (a, b, c) = (shells.groups.add("a"), shells.groups.add("a/b"), shells.groups.add("c"));
    shells.policy(&shells.narrow, shells.one(), Some(&a));
    shells.policy(&shells.wide, shells.one(), Some(&b));
    shells.policy(&shells.narrow, "*", Some(&c));
    let mut all = Vec::new();
    for (shell, group, narrow) in [
        (&shells.one, None, false),
        (&shells.one, Some("a"), true),
        (&shells.one, Some("a/b"), false),
        (&shells.other, Some("a"), false),
        (&shells.other, Some("c"), true),
        (&shells.one, Some("c"), true),
    ] {
        for script in [PRIES, ECHOES] {
            let mut running = shells.start(shell, group, &format!("echo here; {script}"));
            running.said(|said| said.contains("here"));
            all.push((running, group, narrow && script == PRIES));
        }
    }
    let pins = shells.hold();
    let adopted = &pins.status(&shells.lab).1["totals"]["adopted"];
    assert_eq!(adopted, 8, "those of one in a and below, and all in c");
    for (mut running, group, dies) in all {
        running.say("a");
        let ended = running.end();
        assert_eq!(ended.killed(), dies, "in {group:?}: {} {}", ended.status, ended.stdout);
    }
}

#[test]
fn no_cgroup_is_so_deep_or_its_name_so_long_that_it_is_a_way_out() {
    let shells = Shells::new();
    let a = shells.groups.add("a");
    // The test's own and `a` are the first two.
    let deep = |levels: usize, name: &str| format!("a{}", format!("/{name}").repeat(levels - 2));
    let long = "n".repeat(250);
    let cgroups =
        [(15, "b"), (16, "b"), (100, "b"), (3, &*long), (4, &long), (15, &long), (16, &long)];
    let cgroups = cgroups.map(|(levels, name)| deep(levels, name));
    for cgroup in &cgroups {
        shells.groups.add(cgroup);
    }
    // As deep as a policy can name one.
    let deepest = format!("{}/{}", shells.groups.name, deep(15, "b"));
    shells.policy(&shells.narrow, shells.one(), Some(&a));
    shells.policy(&shells.narrow, shells.other.to_str().unwrap(), Some(&deepest));
    let _place = shells.hold();
    for cgroup in &cgroups {
        shells.look(&shells.one, Some(cgroup), true);
    }
    shells.look(&shells.other, Some(&deep(14, "b")), false);
    shells.look(&shells.other, Some(&deep(15, "b")), true);
    shells.look(&shells.other, Some(&deep(100, "b")), true);
}
