//! `enforce --learn-to`: one round of watching tells all that the wider policy needs, and where it
//! came from.

use nix::sys::signal::{kill, Signal};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;

const PLAIN: &str = "echo a; exit 0";
/// Signals in traps, children, files, and a failed exec: nothing of it was learned.
const OTHER: &str = "trap 'echo caught >/dev/null' USR1; kill -USR1 $$; /bin/true; read x </etc/passwd; cd /; \
    (echo b | /bin/cat); ulimit -n >/dev/null; umask 022; test -e /etc/passwd; nothing-like-that 2>/dev/null; exit 0";

struct Watched {
    lab: Lab,
    shell: PathBuf,
    policy: PathBuf,
    seen: PathBuf,
}

impl Watched {
    fn new(depth: &str) -> Self {
        let lab = Lab::new();
        let shell = lab.copy(Path::new("/bin/dash"), "shell");
        let policy = lab.learn_at(depth, &shell, &[(&["-c", PLAIN], "")]);
        let seen = lab.path("seen.json");
        Watched { lab, shell, policy, seen }
    }

    fn options(&self) -> [&str; 3] {
        ["--log-only", "--learn-to", self.seen.to_str().unwrap()]
    }

    fn work(&self, script: &str) -> std::process::ExitStatus {
        self.lab.run(&self.shell, &["-c", script], "").status
    }

    /// `review --accept-all`: what was accepted.
    fn review(&self) -> Vec<String> {
        let mut review = Command::new(binary());
        review.arg("review").arg(&self.seen).arg("--policy").arg(&self.policy).arg("--accept-all");
        let stdout = self.lab.start(&mut review).end().well("review").stdout;
        stdout.lines().map(ToString::to_string).collect()
    }

    fn violations(&self) -> Vec<Value> {
        let file: Value = serde_json::from_slice(&fs::read(&self.seen).unwrap()).unwrap();
        file["policies"][0]["violations"].as_array().unwrap().clone()
    }
}

#[test]
fn one_round_of_watching_is_enough_at_any_depth() {
    for depth in ["1", "2", "3", "5", "8"] {
        let watched = Watched::new(depth);
        let enforcement = watched.lab.enforce(&[&watched.policy], &watched.options());
        assert!(watched.work(OTHER).success());
        let report = enforcement.stop();
        assert!(!report.violations.is_empty(), "depth {depth}");
        let accepted = watched.review();
        let distinct = watched.violations().len();
        assert_eq!(accepted.len(), distinct, "depth {depth}");
        eprintln!("depth {depth}: {} violations, {distinct} questions", report.violations.len());
        let enforcement = watched.lab.enforce(&[&watched.policy], &[]);
        let ended = watched.work(OTHER);
        enforcement.stop().lawful(&format!("depth {depth}"));
        assert!(ended.success(), "depth {depth}: {ended}");
    }
}

#[test]
fn the_file_is_continued_and_written_at_any_end() {
    let watched = Watched::new("2");
    let count = || watched.violations().iter().map(|v| v["count"].as_u64().unwrap()).sum::<u64>();
    let mut before = 0;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        let enforcement = watched.lab.enforce(&[&watched.policy], &watched.options());
        watched.work("cd /; exit 0");
        kill(enforcement.pid(), signal).unwrap();
        enforcement.end().well("enforce");
        assert!(count() > before, "{signal}");
        before = count();
    }
    assert!(watched.violations().iter().all(|v| v["count"] == 4), "{:?}", watched.violations());
    // What is written while it runs does not wait for an end, and decisions that are made meanwhile
    // stay.
    let enforcement = watched.lab.enforce(&[&watched.policy], &watched.options());
    watched.work("umask 022; exit 0");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !watched.violations().iter().any(|v| v["symbol"] == "umask") {
        assert!(std::time::Instant::now() < deadline, "nothing was written");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(!watched.review().is_empty());
    watched.work("umask 022; cd /; exit 0");
    enforcement.stop();
    assert!(watched.review().iter().all(|line| line.contains("umask → chdir")));
    assert!(watched.violations().iter().all(|v| v["decision"] == "accepted"));
}

#[test]
fn a_violation_tells_where_in_the_program_it_came_from() {
    let watched = Watched::new("2");
    let enforcement = watched.lab.enforce(&[&watched.policy], &watched.options());
    // It lives on for a moment, so that its mappings can be read.
    let mut shell = Command::new(&watched.shell);
    let mut running = watched.lab.start(shell.args(["-c", "cd /; read line; exit 0"]));
    std::thread::sleep(std::time::Duration::from_secs(1));
    running.say("end");
    running.end().well("the shell");
    enforcement.stop();
    let found = watched.violations();
    let chdir =
        found.iter().find(|v| v["symbol"] == "chdir").expect("the shell changed its directory");
    let stack = chdir["stack"].as_array().unwrap();
    let module = |frame: &Value| frame["module"].as_str().unwrap_or_default().to_string();
    assert!(module(&stack[0]).contains("libc.so") && stack[0]["symbol"] == "chdir", "{chdir:#}");
    assert_eq!(module(&stack[1]), watched.shell.display().to_string());
    // All the way up, though the shell was built without frame pointers.
    assert!(stack.iter().any(|frame| frame["symbol"] == "__libc_start_main"), "{chdir:#}");
    assert_eq!((&chdir["comm"], chdir["args"].as_array().unwrap().len()), (&"shell".into(), 6));
}
