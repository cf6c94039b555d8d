//! Outputs in a directory that another user may write: what that user has put there is neither
//! followed nor waited for, and nothing is lost.

use nix::unistd::chown;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{symlink, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{mode, Ended, Lab, Running, NOBODY};

/// A policy of a shell; a file of root's; a directory `shared` that everybody may write, and one
/// of nobody's, `theirs`.
struct Place {
    lab: Lab,
    shell: PathBuf,
    policy: PathBuf,
    precious: PathBuf,
}

impl Place {
    fn new() -> Self {
        let lab = Lab::new();
        mode(&lab.path(""), 0o711);
        for (name, permissions) in [("shared", 0o1777), ("theirs", 0o755)] {
            fs::create_dir(lab.path(name)).unwrap();
            mode(&lab.path(name), permissions);
        }
        chown(&lab.path("theirs"), Some(NOBODY.into()), Some(NOBODY.into())).unwrap();
        let shell = lab.copy(Path::new("/bin/dash"), "shell");
        let policy = lab.learn(&shell, &[(&["-c", "exit 0"], "")]);
        let precious = lab.path("precious");
        fs::write(&precious, "precious").unwrap();
        Place { lab, shell, policy, precious }
    }

    /// Starts a line of the shell as nobody.
    fn start(&self, line: &str) -> Running {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line]).uid(NOBODY).gid(NOBODY).env("PRECIOUS", &self.precious);
        self.lab.start(&mut shell)
    }

    fn nobody(&self, line: &str) {
        self.start(line).end().well(line);
    }

    /// Runs a line of the shell as root; `$0` is the program under test, `$1` the policy.
    fn root(&self, line: &str) -> Ended {
        let mut shell = Command::new("/bin/sh");
        let command = shell.args(["-c", line, binary()]).arg(&self.policy);
        self.lab.start(command.env("PRECIOUS", &self.precious)).end()
    }

    #[track_caller]
    fn untouched(&self) {
        assert_eq!(fs::read_to_string(&self.precious).unwrap(), "precious");
        assert_eq!(fs::metadata(&self.precious).unwrap().uid(), 0);
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.lab.path(directory)).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What `enforce --log-only` says that cannot start.
    #[track_caller]
    fn refused(&self, option: &str, file: &str, parts: &[&str]) {
        let line = format!(r#""$0" enforce --log-only {option} {file} --policy "$1" -- true"#);
        let ended = self.root(&line);
        assert_eq!(ended.status.code(), Some(2), "{file}: {}{}", ended.stdout, ended.stderr);
        for part in parts {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
        self.untouched();
    }
}

#[test]
fn a_policy_is_written_to_a_new_file_in_the_place_of_what_is_there() {
    let place = Place::new();
    let written = |directory: &str| {
        let out = place.lab.path(directory).join("out");
        let metadata = fs::symlink_metadata(&out).unwrap();
        assert!(metadata.is_file() && metadata.uid() == 0, "{}", out.display());
        let policy: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
        assert_eq!(policy["binary"], place.shell.to_str().unwrap());
        assert_eq!(place.names(directory), ["out"], "nothing is left behind");
        fs::remove_file(out).unwrap();
        place.untouched();
    };
    for directory in ["shared", "theirs"] {
        let merge = format!(r#"exec "$0" merge -o {directory}/out "$1""#);
        // A link whose name can be guessed: the process id is known.
        let guessed = format!("ln -s $PRECIOUS {directory}/.out.$$.new; {merge}");
        place.root(&guessed).well("merge");
        let left = place.names(directory);
        let link = left.iter().find(|name| *name != "out").unwrap();
        fs::remove_file(place.lab.path(directory).join(link)).unwrap();
        written(directory);
        for line in ["ln -s $PRECIOUS", "mkfifo", "ln -s /dev/null"] {
            place.nobody(&format!("{line} {directory}/out"));
            place.root(&merge).well(line);
            written(directory);
        }
    }
    // A pipe of root's own, and root's link to one.
    symlink("pipe", place.lab.path("link")).unwrap();
    let line = r#"mkfifo pipe; cat pipe & "$0" merge -o link "$1"; wait; test -p pipe -a -L link"#;
    let ended = place.root(line).well("merge into a pipe");
    assert!(ended.stdout.contains("sysfsm"), "{}", ended.stdout);
}

#[test]
fn events_are_not_added_to_what_another_user_has_put_there() {
    let place = Place::new();
    for directory in ["shared", "theirs"] {
        let events = format!("{directory}/events");
        for line in ["ln -s $PRECIOUS", "ln -s /dev/null", "mkfifo"] {
            place.nobody(&format!("{line} {events}"));
            place.refused("--events", &events, &["another user", &format!("rm {events}")]);
            fs::remove_file(place.lab.path(&events)).unwrap();
        }
        // A second name of root's file, which the kernel may refuse to nobody.
        fs::hard_link(&place.precious, place.lab.path(&events)).unwrap();
        place.refused("--events", &events, &["another user"]);
        fs::remove_file(place.lab.path(&events)).unwrap();
        for _ in 0..2 {
            let line =
                format!(r#""$0" enforce --log-only --events {events} --policy "$1" -- true"#);
            place.root(&line).well("enforce");
        }
        let written = fs::read_to_string(place.lab.path(&events)).unwrap();
        assert_eq!(written.matches("\"event\":\"start\"").count(), 2, "{written}");
    }
    symlink(place.lab.path("there"), place.lab.path("link")).unwrap();
    place.root(r#""$0" enforce --log-only --events link --policy "$1" -- true"#).well("enforce");
    assert!(place.lab.path("there").exists(), "a link of root's own is followed");
}

#[test]
fn what_is_learned_is_not_lost_while_another_user_locks_what_he_can() {
    let place = Place::new();
    for directory in ["shared", "theirs"] {
        let seen = format!("{directory}/seen");
        let line = format!("flock {directory} sh -c 'echo locked; sleep 600'");
        let mut locks = place.start(&line);
        assert!(locks.said(|said| said.contains("locked")).contains("locked"));
        let enforcement = place.lab.enforce(&[&place.policy], &["--log-only", "--learn-to", &seen]);
        place.lab.run(&place.shell, &["-c", "kill -0 1"], "").well("a violation");
        enforcement.stop();
        let log: Value = serde_json::from_slice(&fs::read(place.lab.path(&seen)).unwrap()).unwrap();
        let violations = log["policies"][0]["violations"].as_array().unwrap();
        assert!(violations.iter().any(|v| v["symbol"] == "kill"), "{violations:?}");
        assert_eq!(place.names(directory), ["seen"], "nothing is left behind");
        drop(locks);
    }
    // Who owns the directory reviews what is in it.
    let mut review = Command::new(place.lab.copy(Path::new(binary()), "sysfsm"));
    review.args(["review", "theirs/seen", "--reject", "* → kill"]).uid(NOBODY).gid(NOBODY);
    fs::copy(&place.policy, place.lab.path("theirs/policy")).unwrap();
    review.args(["--policy", "theirs/policy"]);
    place.lab.start(&mut review).end().well("review, as the owner");
}

#[test]
fn another_users_review_log_or_lock_is_refused() {
    let place = Place::new();
    for line in ["ln -s $PRECIOUS", "mkfifo", "touch", "mkdir"] {
        place.nobody(&format!("{line} shared/.seen.lock"));
        let hint = "rm shared/.seen.lock";
        place.refused("--learn-to", "shared/seen", &["`shared/.seen.lock`", "another user", hint]);
        place.nobody("rm -r shared/.seen.lock");
        if line == "mkdir" {
            continue;
        }
        place.nobody(&format!("{line} shared/seen"));
        place.refused("--learn-to", "shared/seen", &["another user", "rm shared/seen"]);
        place.nobody("rm shared/seen");
    }
    // A lock of root's that another process holds: the error says which.
    let mut holds = Command::new("flock");
    holds.args([
        "shared/.seen.lock",
        "sh",
        "-c",
        "chmod 600 shared/.seen.lock; echo held; sleep 600",
    ]);
    let mut holds = place.lab.start(&mut holds);
    holds.said(|said| said.contains("held"));
    place.refused("--learn-to", "shared/seen", &["`shared/.seen.lock`", "another process"]);
}

/// A directory of nobody's may be a link to another one by the time that something is written.
#[test]
fn no_link_of_others_is_followed_on_the_way() {
    let place = Place::new();
    fs::create_dir(place.lab.path("roots")).unwrap();
    place.nobody("ln -s ../roots theirs/link; ln -s ../roots shared/link");
    for directory in ["theirs/link", "shared/link"] {
        let theirs = place.lab.path(directory);
        let refusal = format!("`{directory}` belongs to user {NOBODY}, who can change it");
        for line in [
            r#""$0" merge -o {}/out "$1""#,
            r#""$0" merge -o {}/ "$1""#,
            r#""$0" merge -o {}/made/ "$1""#,
            r#""$0" export --format seccomp-oci -o {}/out "$1""#,
            r#""$0" record -o {}/out -- true"#,
            r#""$0" record -o {}/made/ -- true"#,
        ] {
            let line = line.replace("{}", directory);
            let ended = place.root(&line);
            assert_eq!(ended.status.code(), Some(2), "{line}: {}{}", ended.stdout, ended.stderr);
            assert!(ended.stderr.contains(&refusal), "{line}: {}", ended.stderr);
        }
        for option in ["--events", "--learn-to"] {
            place.refused(option, &format!("{directory}/out"), &[&refusal, "chown -h root"]);
        }
        assert!(place.names("roots").is_empty(), "{:?}", place.names("roots"));
        // Root's own link is followed.
        fs::remove_file(&theirs).unwrap();
        symlink("../roots", &theirs).unwrap();
        place.root(&format!(r#""$0" merge -o {directory}/out "$1""#)).well("merge");
        assert_eq!(place.names("roots"), ["out"]);
        fs::remove_file(place.lab.path("roots/out")).unwrap();
    }
}
