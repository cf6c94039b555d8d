//! What is recorded: a binary wherever it runs, a command with its tree, running processes.

use super::{json, policies, start, stopped, transitions};
use nix::sys::signal::{kill, Signal};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;

/// A script that may be exec'd.
fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_binary_wherever_it_runs_and_who_ran_it_before() {
    let lab = Lab::new();
    let cat = lab.copy(Path::new("/usr/bin/cat"), "cat");
    let other = lab.copy(Path::new("/usr/bin/dash"), "other");
    fs::hard_link(&cat, lab.path("link")).unwrap();
    let mut before = lab.start(&mut Command::new(&cat));
    before.say("one");
    before.said(|said| said.contains("one"));

    let to = format!("{}/", lab.path("policies").display());
    let arguments = ["-o", &to, "--binary", cat.to_str().unwrap(), other.to_str().unwrap()];
    let recorder = start(&lab, &arguments);
    before.say("two");
    before.said(|said| said.contains("two"));
    before.end().well("cat, adopted");
    for path in [cat.as_path(), &lab.path("link"), Path::new("./cat")] {
        lab.run(path, &["/dev/null"], "").well("cat");
    }
    // A copy is another file, and an exec of something else ends the recording of a process.
    lab.run(Path::new("/usr/bin/cat"), &["/dev/null"], "").well("another cat");
    lab.run(&other, &["-c", "exec /bin/ls /dev/null"], "").well("the shell");
    kill(recorder.pid(), Signal::SIGTERM).unwrap();
    let stop = stopped(&recorder.end().well("record").stderr);

    assert_eq!(stop["adopted"], 1);
    let found = policies(Path::new(&to));
    assert_eq!(found.len(), 2);
    let cats = &found[cat.to_str().unwrap()];
    assert_eq!(cats["runs"], 4);
    let transitions = |policy| transitions(policy);
    assert_eq!(transitions(cats)["execve → brk"], (3, 3), "the adopted one's was before");
    // The call that it was in is not seen, and the next one, a write, only sets the context.
    assert_eq!(transitions(cats)["write → read"], (1, 1), "{cats}");
    let shells = transitions(&found[other.to_str().unwrap()]);
    assert!(
        shells.keys().all(|key| !key.contains("getdents") && !key.contains("ioctl")),
        "{shells:?}"
    );
    assert!(shells.keys().any(|key| key.ends_with("→ execve")));
}

#[test]
fn a_tree_has_a_policy_for_each_binary_by_its_absolute_path() {
    let lab = Lab::new();
    fs::create_dir(lab.path("below")).unwrap();
    lab.copy(Path::new("/usr/bin/true"), "true");
    lab.copy(Path::new("/usr/bin/cat"), "below/cat");
    script(&lab.path("inner"), "#!/bin/sh\n/bin/true\n");
    script(&lab.path("below/relative"), "#!/bin/sh\nexit 0\n");
    let outer = "#!/bin/bash\n./true\n./inner\n$PWD/inner\n(cd below; ./cat /dev/null; ./relative)\nexit 7\n";
    script(&lab.path("outer"), outer);
    let to = format!("{}/", lab.path("policies").display());
    let ended = start(&lab, &["-o", &to, "--", "./outer"]).end();
    assert_eq!(ended.status.code(), Some(7), "{}", ended.stderr);
    let stop = stopped(&ended.stderr);
    assert_eq!(stop["nameless"], serde_json::json!([]));
    let found = policies(Path::new(&to));
    let runs = |path: &Path| {
        found.get(path.to_str().unwrap()).map(|policy| policy["runs"].as_u64().unwrap())
    };
    for (name, expected) in
        [("outer", 1), ("true", 1), ("inner", 2), ("below/cat", 1), ("below/relative", 1)]
    {
        assert_eq!(runs(&lab.path(name)), Some(expected), "{name}: {:?}", found.keys());
    }
    assert_eq!(runs(Path::new("/bin/true")), Some(2));
    assert!(found.keys().all(|binary| binary.starts_with('/')), "{:?}", found.keys());

    // Into a file goes the command's own.
    let file = lab.path("own.json");
    start(&lab, &["-o", file.to_str().unwrap(), "--", "./outer"]).end();
    assert_eq!(json(&file)["binary"], lab.path("outer").to_str().unwrap());
}

#[test]
fn running_processes_and_what_they_start() {
    let lab = Lab::new();
    let shell = lab.copy(Path::new("/usr/bin/dash"), "shell");
    let mut running = lab.start(&mut Command::new(&shell));
    running.say("echo ready");
    running.said(|said| said.contains("ready"));
    let to = format!("{}/", lab.path("policies").display());
    let recorder = start(&lab, &["-o", &to, "--pid", &running.pid().to_string()]);
    running.say("/bin/cat /dev/null; /bin/cat /dev/null; exit 0");
    running.end().well("the shell");
    // It ends with what it records.
    let stop = stopped(&recorder.end().well("record").stderr);
    assert_eq!(stop["adopted"], 1);
    let found = policies(Path::new(&to));
    assert_eq!(found[shell.to_str().unwrap()]["runs"], 1);
    let shells = transitions(&found[shell.to_str().unwrap()]);
    assert!(shells.keys().any(|key| key.ends_with("→ execve")), "{shells:?}");
    assert!(!shells.contains_key("execve → brk"), "its own exec was before");
    assert_eq!(transitions(&found["/bin/cat"])["execve → brk"], (2, 2));
}

#[test]
fn a_commands_status_is_the_recorders() {
    let lab = Lab::new();
    let file = lab.path("policy.json");
    let record = |options: &[&str], script: &str| {
        let arguments =
            [&["-o", file.to_str().unwrap()], options, &["--", "/bin/sh", "-c", script]].concat();
        let running = start(&lab, &arguments);
        if script.contains("sleep 60") {
            std::thread::sleep(std::time::Duration::from_millis(300));
            kill(running.pid(), Signal::SIGTERM).unwrap();
        }
        let ended = running.end();
        assert_eq!(json(&file)["binary"], "/bin/sh", "{}", ended.stderr);
        fs::remove_file(&file).unwrap();
        (ended.status.code().unwrap(), ended.stdout)
    };
    assert_eq!(record(&[], "exit 0").0, 0);
    assert_eq!(record(&[], "exit 3").0, 3);
    assert_eq!(record(&[], "kill -KILL $$").0, 128 + 9);
    // A signal goes to the command.
    assert_eq!(record(&[], "exec sleep 60").0, 128 + 15);
    // The recording ends before the command.
    assert_eq!(record(&["--for", "300ms"], "sleep 1; echo done; exit 5"), (5, "done\n".into()));
}

#[test]
fn it_ends_by_itself_after_a_time() {
    let lab = Lab::new();
    let cat = lab.copy(Path::new("/usr/bin/cat"), "cat");
    let file = lab.path("policy.json");
    let options = ["-o", file.to_str().unwrap(), "--for", "1s", "--binary", cat.to_str().unwrap()];
    let recorder = start(&lab, &options);
    lab.run(&cat, &["/dev/null"], "").well("cat");
    stopped(&recorder.end().well("record").stderr);
    assert_eq!(json(&file)["runs"], 1);
    // What exists is replaced: these are not two runs.
    let recorder = start(&lab, &options);
    lab.run(&cat, &["/dev/null"], "").well("cat");
    recorder.end().well("record");
    assert_eq!(json(&file)["runs"], 1);
    // And a policy it is.
    lab.start(Command::new(binary()).arg("show").arg(&file)).end().well("show");
}
