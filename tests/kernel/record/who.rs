//! Who taught it: any user may run a program, and with a library of his own have it make any call.
//! Only runs of chosen users, or in a chosen cgroup, are learned; and it is said whose runs were.

use super::{json, policies, start, stopped, transitions};
use crate::cgroups::Groups;
use nix::sys::signal::{kill, Signal};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Lab, Running, NOBODY};

/// The calls of the poison, which fail all the same: `init_module`, and an exec of nothing.
const POISON: &str = "\
#include <unistd.h>
#include <sys/syscall.h>
__attribute__((constructor)) static void poison(void)
{
	syscall(SYS_init_module, 0, 0, 0);
	syscall(SYS_execve, 0, 0, 0);
}
";

struct Scene {
    lab: Lab,
    cat: PathBuf,
    library: PathBuf,
    to: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new();
        // The attacker comes in.
        fs::set_permissions(lab.path("."), fs::Permissions::from_mode(0o755)).unwrap();
        let cat = lab.copy(Path::new("/usr/bin/cat"), "cat");
        let (source, library) = (lab.path("poison.c"), lab.path("poison.so"));
        fs::write(&source, POISON).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        lab.start(&mut cc).end().well("the compiler");
        let to = lab.path("policy.json");
        Scene { lab, cat, library, to }
    }

    fn record(&self, options: &[&str]) -> Running {
        let fixed = ["-o", self.to.to_str().unwrap(), "--binary", self.cat.to_str().unwrap()];
        start(&self.lab, &[&fixed, options].concat())
    }

    /// A run by root, and one by the attacker.
    fn runs(&self) {
        self.lab.run(&self.cat, &["/dev/null"], "").well("cat");
        self.poison();
    }

    fn poison(&self) {
        let mut attack = Command::new(&self.cat);
        attack.arg("/dev/null").env("LD_PRELOAD", &self.library).uid(NOBODY).gid(NOBODY);
        self.lab.start(&mut attack).end().well("the attacker's cat");
    }

    /// Ends a recording; whether it has learned the poison, and what it says of its only policy.
    fn ended(&self, recorder: Running) -> (bool, Value) {
        kill(recorder.pid(), Signal::SIGTERM).unwrap();
        let stop = stopped(&recorder.end().well("record").stderr);
        assert_eq!(stop["starters_lost"], 0, "{stop}");
        (self.poisoned(), stop["policies"][0].clone())
    }

    fn poisoned(&self) -> bool {
        transitions(&json(&self.to)).keys().any(|key| key.contains("init_module"))
    }
}

/// The users of a policy's runs: uid and runs of each.
fn users(policy: &Value) -> Vec<(u64, u64)> {
    let user = |u: &Value| (u["uid"].as_u64().unwrap(), u["runs"].as_u64().unwrap());
    policy["users"].as_array().unwrap().iter().map(user).collect()
}

#[test]
fn a_run_of_another_user_is_learned_unless_a_user_is_named() {
    let scene = Scene::new();
    // The attack works.
    let recorder = scene.record(&[]);
    scene.runs();
    let (poisoned, policy) = scene.ended(recorder);
    assert!(poisoned, "{policy}");
    assert_eq!(users(&policy), [(0, 1), (u64::from(NOBODY), 1)], "{policy}");
    assert_eq!((&policy["users"][0]["user"], &policy["foreign_runs"]), (&"root".into(), &1.into()));
    for user in ["0", "root"] {
        let recorder = scene.record(&["--uid", user]);
        scene.runs();
        let (poisoned, policy) = scene.ended(recorder);
        assert!(!poisoned, "--uid {user}: {policy}");
        assert_eq!((users(&policy), &policy["runs"]), (vec![(0, 1)], &1.into()), "--uid {user}");
        assert_eq!(policy["foreign_runs"], 0);
    }
    // Of both, if both are named.
    let recorder = scene.record(&["--uid", "root", "--uid", "65534"]);
    scene.runs();
    assert!(scene.ended(recorder).0);
}

#[test]
fn people_are_warned_of_runs_that_others_started() {
    let scene = Scene::new();
    let said = |options: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["record", "-o"]).arg(&scene.to).arg("--binary").arg(&scene.cat).args(options);
        let mut recorder = scene.lab.start(&mut command);
        recorder.complained(|text| text.contains("recording at depth"));
        scene.runs();
        kill(recorder.pid(), Signal::SIGTERM).unwrap();
        recorder.end().well("record").stderr
    };
    let text = said(&[]);
    for part in [
        "started by root (0): 1 run, nobody (65534): 1 run",
        "1 run started by others than its owner, root (0): nobody (65534): 1 run",
        "hint: who starts a program chooses what it does",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = said(&["--uid", "root"]);
    assert!(text.contains("started by root (0): 1 run\n"), "{text}");
    assert!(!text.contains("warning: "), "{text}");
}

#[test]
fn a_program_that_becomes_root_by_its_file_is_who_started_its() {
    let scene = Scene::new();
    fs::set_permissions(&scene.cat, fs::Permissions::from_mode(0o4755)).unwrap();
    let recorder = scene.record(&["--uid", "root"]);
    scene.lab.run(&scene.cat, &["/dev/null"], "").well("cat");
    // A library is not preloaded there, but arguments, descriptors and limits are the attacker's.
    let mut other = Command::new(&scene.cat);
    other.arg("--version").uid(NOBODY).gid(NOBODY);
    scene.lab.start(&mut other).end().well("cat with another's rights");
    let (_, policy) = scene.ended(recorder);
    assert_eq!((users(&policy), &policy["runs"]), (vec![(0, 1)], &1.into()), "{policy}");
}

#[test]
fn a_server_that_gives_up_root_is_recorded_to_its_end() {
    let lab = Lab::new();
    fs::set_permissions(lab.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    let server = lab.fixture("drops");
    let to = lab.path("policy.json");
    let fixed = ["-o", to.to_str().unwrap(), "--binary", server.to_str().unwrap(), "--uid", "root"];
    let lives = |adopted: bool| {
        let begin = || {
            let mut running = lab.start(Command::new(&server).arg("child"));
            running.said(|said| said.contains("dropped"));
            running
        };
        let early = adopted.then(begin);
        let recorder = start(&lab, &fixed);
        let mut running = early.unwrap_or_else(begin);
        running.say("go");
        running.end().well("the server");
        kill(recorder.pid(), Signal::SIGTERM).unwrap();
        let stop = stopped(&recorder.end().well("record").stderr);
        let learned = transitions(&json(&to));
        assert!(learned.keys().any(|key| key.contains("getpgid")), "{adopted}: {learned:?}");
        assert!(users(&stop["policies"][0]).iter().all(|&(uid, _)| uid == 0), "{stop}");
        stop
    };
    assert_eq!(lives(false)["adopted"], 0);
    // The child of one that is root runs the same file, so root has started the child.
    assert_eq!(lives(true)["adopted"], 2);
}

#[test]
fn a_running_process_of_another_user_is_not_adopted() {
    let scene = Scene::new();
    let begin = |uid: u32| {
        let mut command = Command::new(&scene.cat);
        command.uid(uid).gid(uid);
        let mut running = scene.lab.start(&mut command);
        running.say("one");
        running.said(|said| said.contains("one"));
        running
    };
    for (options, adopted) in
        [(vec!["--uid", "root"], vec![(0, 1)]), (vec![], vec![(0, 1), (65534, 1)])]
    {
        let mut running = [begin(0), begin(NOBODY)];
        let recorder = scene.record(&options);
        for one in &mut running {
            one.say("two");
            one.said(|said| said.contains("two"));
        }
        let (_, policy) = scene.ended(recorder);
        assert_eq!(users(&policy), adopted, "{options:?}: {policy}");
        for one in running {
            one.end().well("cat");
        }
    }
}

#[test]
fn only_runs_that_were_started_in_a_cgroup_or_below_are_learned() {
    let scene = Scene::new();
    let groups = Groups::new();
    let (inside, below, beside) = (groups.add("a"), groups.add("a/b"), groups.add("ab"));
    let run = |group: &str, poison: bool| {
        let library = if poison { scene.library.to_str().unwrap() } else { "" };
        let procs = groups.at.join(group).join("cgroup.procs");
        let cat = scene.cat.display();
        let script =
            format!("echo $$ > {}; LD_PRELOAD={library} exec {cat} /dev/null", procs.display());
        scene.lab.run(Path::new("/bin/sh"), &["-c", &script], "").well("cat in a cgroup");
    };
    let all = || {
        run("a", false);
        run("a/b", false);
        run("ab", true);
    };
    let cgroups = |policy: &Value| -> Vec<(String, u64)> {
        let one = |c: &Value| (c["cgroup"].as_str().unwrap().into(), c["runs"].as_u64().unwrap());
        policy["cgroups"].as_array().unwrap().iter().map(one).collect()
    };
    let recorder = scene.record(&[]);
    all();
    let (poisoned, policy) = scene.ended(recorder);
    assert!(poisoned);
    let want = [(inside.clone(), 1), (below.clone(), 1), (beside, 1)];
    assert_eq!(cgroups(&policy), want, "{policy}");
    let recorder = scene.record(&["--cgroup", &inside]);
    all();
    let (poisoned, policy) = scene.ended(recorder);
    assert!(!poisoned, "{policy}");
    assert_eq!(cgroups(&policy), [(inside.clone(), 1), (below, 1)], "{policy}");
    // Both have to fit.
    let recorder = scene.record(&["--cgroup", &inside, "--uid", "65534"]);
    all();
    kill(recorder.pid(), Signal::SIGTERM).unwrap();
    let ended = recorder.end();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("nothing was recorded"), "{}", ended.stderr);
}

#[test]
fn of_a_tree_only_the_programs_that_a_user_started_are_learned() {
    let scene = Scene::new();
    let to = format!("{}/", scene.lab.path("policies").display());
    let cat = scene.cat.to_str().unwrap();
    let script = format!(
        "{cat} /dev/null; setpriv --reuid 65534 --regid 65534 --clear-groups {cat} /dev/null; exit 0"
    );
    let ended =
        start(&scene.lab, &["-o", &to, "--uid", "65534", "--", "/bin/sh", "-c", &script]).end();
    let stop = stopped(&ended.well("record").stderr);
    let found = policies(Path::new(&to));
    assert_eq!(found.keys().collect::<Vec<_>>(), [cat], "{stop}");
    assert_eq!((&found[cat]["runs"], users(&stop["policies"][0])), (&1.into(), vec![(65534, 1)]));
}

#[test]
fn a_user_or_a_cgroup_that_is_none_is_an_error() {
    let lab = Lab::new();
    for (option, value, part) in [
        ("--uid", "nobody-like-that", "no user `nobody-like-that`"),
        ("--cgroup", "system.slice", "`system.slice` is no cgroup's path"),
        ("--cgroup", "/a/../b", "is no cgroup's path"),
    ] {
        let mut command = Command::new(binary());
        command.args(["record", "-o", "x", "--binary", "/bin/cat", option, value]);
        let ended = lab.start(&mut command).end();
        assert_eq!(ended.status.code(), Some(2), "{value}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{value}: {}", ended.stderr);
    }
}
