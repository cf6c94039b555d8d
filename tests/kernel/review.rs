//! From watching to enforcing, as docs/review.md has it: policies learned from everyday use only, real servers watched
//! on their lawful rare paths, reviewed, and then held to what came of it.

use crate::lab::{Lab, Report};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Watching ends with so many rounds in a row that brought nothing new, and fails after so many at all.
const SILENT: usize = 3;
const MOST: usize = 40;
/// Rounds under enforcement.
const RUNS: usize = 5;

struct Server {
    lab: Lab,
    name: &'static str,
    program: PathBuf,
}

impl Server {
    fn new(name: &'static str, program: &Path) -> Self {
        let lab = Lab::new();
        // Some of them give their rights up.
        fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        let program = lab.copy(program, name);
        Server { lab, name, program }
    }

    /// Uses the server once, `plain` or `rare`; `launcher` goes before every start of it.
    #[track_caller]
    fn work(&self, phase: &str, launcher: &str) -> Result<(), String> {
        let dir = self.lab.fresh("work");
        fs::create_dir(&dir).unwrap();
        let script = format!("tests/kernel/rare/{}.sh", self.name);
        let mut command = Command::new("bash");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .arg(&self.program)
            .arg(&dir)
            .arg(phase)
            .env("RUN", launcher);
        let ended = self.lab.start(&mut command).end();
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        fs::remove_dir_all(dir).unwrap();
        if ended.status.success() {
            return Ok(());
        }
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        Err(format!("{}: {phase}: {}\n{}{}\n{last:#?}", self.name, ended.status, ended.stdout, ended.stderr))
    }

    /// The policy of everyday use, learned from logs of strace.
    #[track_caller]
    fn learn(&self, rounds: usize) -> PathBuf {
        let logs = self.lab.path("logs");
        fs::create_dir(&logs).unwrap();
        // Where the program gives its rights up strace goes on as root.
        let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/trace.sh");
        for _ in 0..rounds {
            self.work("plain", &format!("bash {} {}", trace.display(), logs.display())).unwrap();
        }
        let policy = self.lab.path("policy.json");
        let mut command = Self::sysfsm("extract");
        command.arg("--binary").arg(&self.program).arg("-o").arg(&policy);
        command.args(fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path()));
        self.lab.start(&mut command).end().well("extract");
        policy
    }

    fn sysfsm(command: &str) -> Command {
        let mut sysfsm = Command::new(crate::lab::SYSFSM);
        sysfsm.arg(command);
        sysfsm
    }

    /// Watches one round, and reviews: how many questions there were.
    #[track_caller]
    fn watch(&self, policy: &Path, seen: &Path) -> usize {
        let options = ["--log-only", "--learn-to", seen.to_str().unwrap()];
        let enforcement = self.lab.enforce(&[policy], &options);
        let worked = self.work("rare", "");
        let report = enforcement.stop();
        worked.unwrap();
        assert!(report.judged() > 0, "{}: nothing was judged", self.name);
        let mut review = Self::sysfsm("review");
        review.arg(seen).arg("--policy").arg(policy).args(["--accept-all", "--json"]);
        let ended = self.lab.start(&mut review).end();
        // 1 would be a question that cannot be accepted.
        assert_eq!(ended.status.code(), Some(0), "{}: {}", self.name, ended.stderr);
        let questions = ended.stdout.lines().count();
        let mut again = Self::sysfsm("review");
        again.arg(seen).arg("--policy").arg(policy).arg("--accept-all");
        let twice = self.lab.start(&mut again).end().well("a second review").stdout;
        assert_eq!(twice, "", "{}: asked twice", self.name);
        questions
    }

    /// Holds the server to the policy.
    #[track_caller]
    fn live(&self, policy: &Path) {
        let enforcement = self.lab.enforce(&[policy], &[]);
        let worked = (0..RUNS).try_for_each(|_| self.work("rare", ""));
        let report: Report = enforcement.stop();
        report.lawful(self.name);
        worked.unwrap();
    }
}

/// The whole procedure.
#[track_caller]
fn procedure(name: &'static str, program: &Path) {
    let server = Server::new(name, program);
    let policy = server.learn(2);
    let seen = server.lab.path("seen.json");
    let (mut asked, mut silent) = (Vec::new(), 0);
    while silent < SILENT {
        assert!(asked.len() < MOST, "{name}: new questions without end: {asked:?}");
        let questions = server.watch(&policy, &seen);
        silent = if questions == 0 { silent + 1 } else { 0 };
        asked.push(questions);
    }
    let total: usize = asked.iter().sum();
    eprintln!("REVIEW {name}: {total} questions in {} rounds: {asked:?}", asked.len());
    assert!(asked[0] > 0, "{name}: the rare paths are not rare: the policy knew them all");
    server.live(&policy);
}

#[test]
fn nginx_reloads_reopens_and_ends_gracefully() {
    procedure("nginx", Path::new("/usr/sbin/nginx"));
}

#[test]
fn redis_saves_rewrites_and_shuts_down() {
    procedure("redis-server", Path::new("/usr/bin/redis-server"));
}

#[test]
fn sshd_exchanges_new_keys_and_reloads() {
    procedure("sshd", Path::new("/usr/sbin/sshd"));
}
