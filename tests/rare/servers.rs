//! From watching to enforcing, as docs/review.md has it: policies learned from everyday use only,
//! real servers watched on their lawful rare paths, reviewed, and then held to what came of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::lab::{Lab, Report};

/// Watching fails after so many rounds.
const MOST: usize = 30;
/// How often the everyday use is traced, every second time with delays that make threads overtake
/// each other.
const TRACED: usize = 4;

/// How long a server is watched: what only chance brings needs many runs.
struct Pace {
    /// Uses at once in a round: that changes the order of calls.
    crowd: usize,
    /// Uses one after another.
    alone: usize,
    /// Watching ends with so many rounds in a row that brought nothing new.
    silent: usize,
}

struct Server {
    lab: Lab,
    name: &'static str,
    program: PathBuf,
    pace: Pace,
}

impl Server {
    fn new(name: &'static str, program: &Path, pace: Pace) -> Self {
        let lab = Lab::new();
        // Some of them give their rights up.
        fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        let program = lab.copy(program, name);
        Server { lab, name, program, pace }
    }

    /// Uses the server once, `plain` or `rare`; `launcher` goes before every start of it.
    #[track_caller]
    fn work(&self, phase: &str, launcher: &str) -> Result<(), String> {
        let dir = self.lab.fresh("work");
        fs::create_dir(&dir).unwrap();
        let script = format!("tests/rare/{}.sh", self.name);
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
        Err(format!(
            "{}: {phase}: {}\n{}{}\n{last:#?}",
            self.name, ended.status, ended.stdout, ended.stderr
        ))
    }

    /// The policy of everyday use, learned from logs of strace.
    #[track_caller]
    fn learn(&self) -> PathBuf {
        let logs = self.lab.path("logs");
        fs::create_dir(&logs).unwrap();
        // Where the program gives its rights up strace goes on as root.
        let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/trace.sh");
        for round in 0..TRACED {
            let disturb = if round % 2 == 0 { "" } else { "env DISTURB=delay_exit=500:when=3+7 " };
            let launcher = format!("{disturb}bash {} {}", trace.display(), logs.display());
            self.work("plain", &launcher).unwrap();
        }
        let policy = self.lab.path("policy.json");
        let mut command = sysfsm("extract");
        command.arg("--binary").arg(&self.program).arg("-o").arg(&policy);
        command.args(fs::read_dir(logs).unwrap().map(|entry| entry.unwrap().path()));
        self.lab.start(&mut command).end().well("extract");
        policy
    }

    /// One round.
    fn round(&self) -> Result<(), String> {
        std::thread::scope(|scope| {
            // All are started before the first is waited for.
            let crowd: Vec<_> =
                (0..self.pace.crowd).map(|_| scope.spawn(|| self.work("rare", ""))).collect();
            crowd.into_iter().try_for_each(|one| one.join().unwrap())
        })?;
        (0..self.pace.alone).try_for_each(|_| self.work("rare", ""))
    }

    /// Watches one round, and reviews, with these answers: what was asked.
    #[track_caller]
    fn watch(&self, policy: &Path, seen: &Path, answers: &[&str]) -> Vec<String> {
        let options = ["--log-only", "--learn-to", seen.to_str().unwrap()];
        let enforcement = self.lab.enforce(&[policy], &options);
        let worked = self.round();
        let report = enforcement.stop();
        worked.unwrap();
        assert!(report.judged() > 0, "{}: nothing was judged", self.name);
        let mut review = sysfsm("review");
        review.arg(seen).arg("--policy").arg(policy).args(answers);
        let ended = self.lab.start(&mut review).end();
        // 1 would be a question that cannot be accepted.
        assert_eq!(ended.status.code(), Some(0), "{}: {}", self.name, ended.stderr);
        let questions = ended.stdout.lines().filter_map(|line| line.rsplit_once(": "));
        let questions = questions.map(|(_, transition)| transition.to_string()).collect();
        let mut again = sysfsm("review");
        again.arg(seen).arg("--policy").arg(policy).arg("--accept-all");
        let twice = self.lab.start(&mut again).end().well("a second review").stdout;
        assert_eq!(twice, "", "{}: asked twice", self.name);
        questions
    }

    /// Holds the server to the policy.
    #[track_caller]
    fn live(&self, policy: &Path) {
        let enforcement = self.lab.enforce(&[policy], &[]);
        let worked = self.round();
        let report: Report = enforcement.stop();
        report.lawful(self.name);
        worked.unwrap();
    }
}

fn sysfsm(command: &str) -> Command {
    let mut sysfsm = Command::new(sysfsm_testing::binary());
    sysfsm.arg(command);
    sysfsm
}

/// The whole procedure.
#[track_caller]
fn procedure(name: &'static str, program: &Path, pace: Pace) {
    let server = Server::new(name, program, pace);
    let policy = server.learn();
    let seen = server.lab.path("seen.json");
    let (mut asked, mut late, mut silent) = (Vec::new(), Vec::new(), 0);
    while silent < server.pace.silent {
        assert!(asked.len() < MOST, "{name}: new questions without end: {asked:?} {late:?}");
        // What the first round has not shown came by chance, and comes elsewhere the next time.
        let answers: &[&str] =
            if asked.is_empty() { &["--accept-all"] } else { &["--accept-anywhere", "* → *"] };
        let questions = server.watch(&policy, &seen, answers);
        silent = if questions.is_empty() { silent + 1 } else { 0 };
        if !asked.is_empty() {
            late.extend(questions.iter().cloned());
        }
        asked.push(questions.len());
    }
    let total: usize = asked.iter().sum();
    eprintln!(
        "REVIEW {name}: {total} questions in {} rounds: {asked:?}, after the first {late:?}",
        asked.len()
    );
    assert!(asked[0] > 0, "{name}: the rare paths are not rare: the policy knew them all");
    server.live(&policy);
}

#[test]
fn nginx_reloads_reopens_and_ends_gracefully() {
    procedure("nginx", Path::new("/usr/sbin/nginx"), Pace { crowd: 5, alone: 3, silent: 6 });
}

#[test]
fn redis_saves_rewrites_and_shuts_down() {
    // Its threads meet by chance.
    procedure(
        "redis-server",
        Path::new("/usr/bin/redis-server"),
        Pace { crowd: 5, alone: 3, silent: 15 },
    );
}

#[test]
fn postgresql_vacuums_checkpoints_reloads_and_restarts() {
    let versions =
        fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed (make deps)");
    let program = versions.map(|v| v.unwrap().path().join("bin/postgres")).find(|p| p.exists());
    procedure(
        "postgres",
        &program.expect("a server of postgresql"),
        Pace { crowd: 5, alone: 1, silent: 10 },
    );
}

#[test]
fn sshd_exchanges_new_keys_and_reloads() {
    procedure("sshd", Path::new("/usr/sbin/sshd"), Pace { crowd: 3, alone: 1, silent: 4 });
}
