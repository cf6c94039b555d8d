//! What a process claims about its exec: root compares it, and neither opens it nor waits for it.

use nix::fcntl::{open, OFlag};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt, PtyMaster};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{symlink, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Lab, Running};
use sysfsm_testing::pin_directory::PinDirectory;

/// How long `enforce` may take to start, whatever processes do: several times what it needs with
/// ten of them on a slow machine.
const SOON: Duration = Duration::from_secs(20);

/// A script, its interpreter, and things that a process of the interpreter may claim to be.
struct Claims {
    lab: Lab,
    /// The last name of each path: no other test's, since a policy for a name binds everywhere.
    name: String,
    interpreter: PathBuf,
    script: PathBuf,
    policy: PathBuf,
    terminal: PtyMaster,
}

impl Claims {
    fn new() -> Self {
        let lab = Lab::new();
        let interpreter = lab.fixture("claimant");
        let script = lab.path("script");
        fs::write(&script, format!("#!{}\n", interpreter.display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let policy = lab.learn(&script, &[(&[], "")]);
        for directory in ["fifo", "link", "loop", "tty", "dir", "file", "served"] {
            fs::create_dir(lab.path(directory)).unwrap();
        }
        let unique = lab.path("").file_name().unwrap().to_str().unwrap().replace(".tmp", "n");
        let name = unique.as_str();
        let at = |directory: &str| lab.path(directory).join(name);
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        symlink(Path::new("../fifo").join(name), at("link")).unwrap();
        symlink(name, at("loop")).unwrap();
        fs::create_dir(at("dir")).unwrap();
        fs::write(at("file"), "#!/bin/sh\n").unwrap();
        let terminal = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        symlink(ptsname_r(&terminal).unwrap(), at("tty")).unwrap();
        let name = unique.clone();
        Claims { lab, name, interpreter, script, policy, terminal }
    }

    /// The path of what is in a directory.
    fn at(&self, directory: &str) -> String {
        format!("{directory}/{}", self.name)
    }

    /// A policy for the name.
    fn named(&self) -> PathBuf {
        self.lab.with(&self.policy, "binary", json!(self.name))
    }

    /// A process that claims a path, and has done so.
    fn process(&self, how: &str, path: &str) -> Running {
        let mut process = self.lab.start(Command::new(&self.interpreter).args([how, path]));
        let said = process.said(|said| said.contains("ready"));
        assert!(said.contains("ready"), "{how} {path}: {}", process.stderr());
        process
    }

    /// Processes of every claim that leads to something that is not to be opened.
    fn all(&self) -> Vec<Running> {
        let claims = ["fifo", "link", "loop", "tty", "dir", "none"].map(|kind| self.at(kind));
        claims.iter().map(|path| self.process("claim", path)).collect()
    }

    /// Asserts that nobody waits at the other end of the FIFO, and that nobody has opened the
    /// terminal: whoever closes it leaves an error to read.
    #[track_caller]
    fn untouched(&mut self) {
        let fifo = open(
            &self.lab.path(&self.at("fifo")),
            OFlag::O_WRONLY | OFlag::O_NONBLOCK,
            Mode::empty(),
        );
        assert_eq!(fifo.err(), Some(nix::errno::Errno::ENXIO), "a reader of the FIFO");
        let read = self.terminal.read(&mut [0]).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::WouldBlock, "the terminal was opened: {read}");
    }
}

/// The attack is able to work: an ordinary open of what is claimed waits, and is seen.
#[test]
fn an_open_of_what_is_claimed_waits_and_is_seen() {
    let mut claims = Claims::new();
    claims.untouched();
    for kind in ["fifo", "link", "tty"] {
        let mut cat = Command::new("cat");
        let cat = claims.lab.start(cat.arg(claims.at(kind)));
        std::thread::sleep(Duration::from_millis(300));
        if kind == "tty" {
            drop(cat);
            let read = claims.terminal.read(&mut [0]).unwrap_err();
            assert_ne!(read.kind(), ErrorKind::WouldBlock, "the terminal was opened");
        } else {
            let fifo = claims.lab.path(&claims.at("fifo"));
            open(&fifo, OFlag::O_WRONLY | OFlag::O_NONBLOCK, Mode::empty()).expect(kind);
            cat.end().well("cat");
        }
    }
}

#[test]
fn what_a_process_claims_is_neither_opened_nor_waited_for() {
    let mut claims = Claims::new();
    // With a policy of the name too, every claim's path is followed to the file.
    let named = claims.named();
    let of_script = claims.policy.clone();
    let policies: [&[&Path]; 2] = [&[&of_script], &[&of_script, &named]];
    for policies in policies {
        let processes = claims.all();
        let blocked = claims.process("wait", "");
        let began = Instant::now();
        let enforcement = claims.lab.enforce(policies, &[]);
        assert!(began.elapsed() < SOON, "started after {:?}", began.elapsed());
        claims.untouched();
        let report = enforcement.stop();
        assert_eq!(report.start["adopted"], 0, "nothing is a script: {}", report.start);
        drop((processes, blocked));
    }
}

#[test]
fn a_file_system_that_never_answers_holds_nothing_up() {
    let claims = Claims::new();
    let named = claims.named();
    let processes: Vec<Running> =
        (0..5).map(|_| claims.process("serve", &claims.at("served"))).collect();
    let began = Instant::now();
    let enforcement = claims.lab.enforce(&[&claims.policy, &named], &[]);
    assert!(began.elapsed() < SOON, "started after {:?}", began.elapsed());
    assert_eq!(enforcement.stop().start["adopted"], 0);
    drop(processes);
}

#[test]
fn a_reload_does_not_wait_for_what_a_process_claims() {
    let mut claims = Claims::new();
    let pins = PinDirectory::new(&claims.lab);
    let policies = claims.lab.path("policies");
    fs::create_dir(&policies).unwrap();
    fs::copy(&claims.policy, policies.join("script.json")).unwrap();
    let options = ["--at-most", "kill"];
    let agent = pins.agent(&claims.lab, &policies, &options, "pinned");
    let mut processes = claims.all();
    processes.push(claims.process("wait", ""));
    let other = claims.named();
    fs::copy(other, policies.join("name.json")).unwrap();
    let began = Instant::now();
    pins.reload(&claims.lab).well("reload");
    assert!(began.elapsed() < SOON, "reloaded after {:?}", began.elapsed());
    claims.untouched();
    drop((processes, agent));
}

#[test]
fn a_recording_of_a_process_does_not_wait_for_what_it_claims() {
    let mut claims = Claims::new();
    let waiting = claims.process("wait", "");
    for process in claims.all().iter().chain([&waiting]) {
        let began = Instant::now();
        let mut record = Command::new(binary());
        record.args(["record", "--json", "--pid", &process.pid().to_string(), "-o"]);
        let mut record = claims.lab.start(record.arg(claims.lab.fresh("policy")));
        let said = record.complained(|said| said.contains("record_start"));
        assert!(said.contains("record_start"), "{said}");
        assert!(began.elapsed() < SOON, "started after {:?}", began.elapsed());
    }
    claims.untouched();
}

/// What a process claims is enough to hold it to a script's policy: by the path, absolute and from
/// the working directory, whatever is there; by the name, where a file that it does not run is.
#[test]
fn who_claims_to_be_a_script_is_held_to_its_policy() {
    let claims = Claims::new();
    let named = claims.named();
    let absolute = claims.script.to_str().unwrap();
    let file = claims.at("file");
    let bound = ["script", absolute, "./script", file.as_str()];
    let mut processes: Vec<Running> =
        bound.iter().map(|path| claims.process("claim", path)).collect();
    let mut free = claims.process("claim", "file/other");
    fs::remove_file(&claims.script).unwrap();
    fs::write(&claims.script, format!("#!{}\n", claims.interpreter.display())).unwrap();
    let enforcement = claims.lab.enforce(&[&claims.policy, &named], &[]);
    for (process, path) in processes.iter_mut().zip(bound) {
        process.say("");
        let said = process.said(|said| said.contains("lives"));
        assert!(!said.contains("lives"), "claimed {path}");
    }
    free.say("");
    free.end().well("claims no script");
    assert_eq!(enforcement.stop().start["adopted"], bound.len());
}
