//! What a test tries things in: a directory, copies of programs (a policy binds a file: never a
//! system's own), and processes that end with the test, however it ends. Every wait is bounded.

#![allow(unsafe_code)]

use crate::{binary, fixture};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::signal::{kill, killpg, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long any one step may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The user and the group of nobody: who others than root are in a test.
pub const NOBODY: u32 = 65_534;

/// Sets the permissions of a file or directory.
pub fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A directory of a test.
pub struct Lab {
    dir: TempDir,
    numbers: AtomicU32,
}

/// What a process left behind.
pub struct Ended {
    /// Its process id, which another process may have by now.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Ended {
    /// Whether SIGKILL ended it.
    pub fn killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// Asserts a clean end.
    #[track_caller]
    pub fn well(self, what: &str) -> Self {
        assert!(self.status.success(), "{what}: {}\n{}\n{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// A process in a group of its own, which ends with this value.
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group is named after the child, which is not reaped yet, or just was.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Says one line to it.
    pub fn say(&mut self, line: &str) {
        // One that is dead by now does not listen.
        let _ = writeln!(self.child.stdin.as_mut().unwrap(), "{line}");
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// Waits until it has said something, or has ended; what it has said.
    #[track_caller]
    pub fn said(&mut self, enough: impl Fn(&str) -> bool) -> String {
        self.hear(enough, Self::stdout)
    }

    /// Waits until its standard error has something, or it has ended; what it has written there.
    #[track_caller]
    pub fn complained(&mut self, enough: impl Fn(&str) -> bool) -> String {
        self.hear(enough, Self::stderr)
    }

    #[track_caller]
    fn hear(&mut self, enough: impl Fn(&str) -> bool, said: impl Fn(&Self) -> String) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            let said = said(self);
            if ended || enough(&said) {
                return said;
            }
            assert!(Instant::now() < deadline, "silent after {PATIENCE:?}: {said}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until it ends.
    #[track_caller]
    pub fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// Waits until it ends, which may take this long.
    #[track_caller]
    pub fn end_within(mut self, patience: Duration) -> Ended {
        self.child.stdin = None;
        assert!(self.ends_within(patience), "still running after {patience:?}: {}", self.stdout());
        let status = self.child.wait().unwrap();
        Ended { pid: self.child.id(), status, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Whether it has ended after so long: slept for, since who looks all the time takes the time
    /// that it needs.
    fn ends_within(&mut self, patience: Duration) -> bool {
        if self.child.try_wait().unwrap().is_some() {
            return true;
        }
        // SAFETY: the child is ours and not reaped yet, so that its number is nobody else's.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, self.child.id(), 0) };
        let descriptor = i32::try_from(descriptor).unwrap();
        assert!(descriptor >= 0, "pidfd_open: {}", std::io::Error::last_os_error());
        // SAFETY: the kernel has just opened it for us.
        let process = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let mut ends = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        poll(&mut ends, PollTimeout::try_from(patience).unwrap()).unwrap() > 0
    }
}

impl Lab {
    /// A new directory. Fails unless the test runs as root.
    pub fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "the kernel tests load BPF programs: run them as root"
        );
        Lab { dir: TempDir::new().unwrap(), numbers: AtomicU32::new(0) }
    }

    /// The path of a name in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A path that was not given before.
    pub fn fresh(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}-{}", self.numbers.fetch_add(1, Ordering::Relaxed)))
    }

    /// A copy of a program, by the name that it is to have.
    pub fn copy(&self, program: &Path, name: &str) -> PathBuf {
        let to = self.path(name);
        copy(program, &to);
        to
    }

    /// A copy of one of tests/programs.
    pub fn fixture(&self, name: &str) -> PathBuf {
        self.fixture_as(name, name)
    }

    /// A copy of one of tests/programs, by the name that the copy is to have.
    pub fn fixture_as(&self, name: &str, copy: &str) -> PathBuf {
        self.copy(&fixture(name), copy)
    }

    /// Starts a program, its input a pipe.
    pub fn start(&self, command: &mut Command) -> Running {
        let (stdout, stderr) = (self.fresh("stdout"), self.fresh("stderr"));
        // SAFETY: prctl may be called between fork and exec.
        unsafe {
            // A test that is killed takes its processes along.
            command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
        }
        let child = command
            .process_group(0)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Running { child, stdout, stderr }
    }

    /// Runs a program to its end, `line` being all its input.
    #[track_caller]
    pub fn run(&self, program: &Path, arguments: &[&str], line: &str) -> Ended {
        let mut running = self.start(Command::new(program).args(arguments));
        if !line.is_empty() {
            running.say(line);
        }
        running.end()
    }

    /// The policy of a program, learned from `runs`: arguments and a line of input each.
    #[track_caller]
    pub fn learn(&self, program: &Path, runs: &[(&[&str], &str)]) -> PathBuf {
        self.learn_at("2", program, runs)
    }

    /// The policy of a program at a depth, learned from `runs`.
    #[track_caller]
    pub fn learn_at(&self, depth: &str, program: &Path, runs: &[(&[&str], &str)]) -> PathBuf {
        let logs: Vec<PathBuf> = runs
            .iter()
            .map(|(arguments, line)| {
                let log = self.fresh("log");
                let mut command = Command::new("strace");
                command.args(["-f", "-o"]).arg(&log).arg("--").arg(program).args(*arguments);
                let mut strace = self.start(&mut command);
                strace.say(line);
                strace.end().well("a traced run");
                log
            })
            .collect();
        let policy = self.fresh("policy");
        let mut extract = Command::new(binary());
        extract
            .args(["extract", "--depth", depth, "--binary"])
            .arg(program)
            .arg("-o")
            .arg(&policy)
            .args(logs);
        self.start(&mut extract).end().well("extract");
        policy
    }

    /// Another policy with one field set to something else.
    pub fn with(&self, policy: &Path, field: &str, value: Value) -> PathBuf {
        let mut json: Value = serde_json::from_slice(&fs::read(policy).unwrap()).unwrap();
        json[field] = value;
        let to = self.fresh("policy");
        fs::write(&to, json.to_string()).unwrap();
        to
    }

    /// Enforces policies until it is stopped. At level `kill`, which every kernel reaches and
    /// starts at once, unless the options `--require` one: the levels have tests of their own, in
    /// tests/veto.
    #[track_caller]
    pub fn enforce(&self, policies: &[&Path], options: &[&str]) -> Enforcement {
        let mut command = Command::new(binary());
        let at_most: &[&str] =
            if options.contains(&"--require") { &[] } else { &["--at-most", "kill"] };
        command
            .args(["enforce", "--json"])
            .args(at_most)
            .args(options)
            .arg("--policy")
            .args(policies);
        let mut running = self.start(&mut command);
        let deadline = Instant::now() + PATIENCE;
        while !running.stdout().contains("\"event\":\"start\"") {
            let ended = running.child.try_wait().unwrap().is_some();
            let errors = fs::read_to_string(&running.stderr).unwrap();
            assert!(!ended && Instant::now() < deadline, "enforce does not start: {errors}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Enforcement { running }
    }
}

/// A running `sysfsm enforce`.
pub struct Enforcement {
    running: Running,
}

impl Enforcement {
    /// The process id.
    pub fn pid(&self) -> Pid {
        self.running.pid()
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn end(self) -> Ended {
        self.running.end()
    }

    /// Ends it; everything that it said.
    #[track_caller]
    pub fn stop(self) -> Report {
        Report::of(&self.stop_raw())
    }

    /// Ends it; its standard output.
    #[track_caller]
    pub fn stop_raw(self) -> String {
        kill(self.running.pid(), Signal::SIGTERM).unwrap();
        self.running.end().well("enforce").stdout
    }
}

/// Copies a program that is to be run. Not by this process: a child of another test's, between its
/// fork and its exec, would hold the copy open for writing, and nobody could run it (ETXTBSY).
#[track_caller]
pub fn copy(program: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--").arg(program).arg(to).status().unwrap();
    assert!(copied.success(), "{}: {copied}", program.display());
}

/// Whether the kernel preempts tracepoint programs, and then leaves them out for other tasks of the
/// CPU, most of which are not watched at all: from 7.0 on.
pub fn preempts_programs() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.split('.').next().unwrap().parse::<u32>().unwrap() >= 7
}

/// What `enforce --json` printed.
pub struct Report {
    /// The event of the start.
    pub start: Value,
    /// The violations, in order.
    pub violations: Vec<Value>,
    /// The totals at the end.
    pub stop: Value,
}

impl Report {
    /// Reads what `enforce --json` wrote, and asserts that nothing of it was lost.
    pub fn of(stdout: &str) -> Self {
        // A command's own output may stand between.
        let events: Vec<Value> =
            stdout.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        let of =
            |kind: &str| events.iter().filter(|e| e["event"] == kind).cloned().collect::<Vec<_>>();
        let one =
            |kind: &str| of(kind).pop().unwrap_or_else(|| panic!("no {kind} event in {stdout}"));
        let totals = one("stop")["totals"].take();
        let report = Report { start: one("start"), violations: of("violation"), stop: totals };
        for total in
            ["kills_failed", "events_lost", "threads_refused", "frames_dropped", "recursion_misses"]
        {
            if total != "recursion_misses" || !preempts_programs() {
                assert_eq!(report.stop[total], 0, "{total} in {}", report.stop);
            }
        }
        report
    }

    /// How many calls were judged.
    pub fn judged(&self) -> u64 {
        self.stop["judged"].as_u64().unwrap()
    }

    /// Asserts that something was judged, and nothing violated.
    #[track_caller]
    pub fn lawful(&self, what: &str) {
        assert!(self.judged() > 0, "{what}: nothing was judged");
        let first: Vec<String> = self.violations.iter().take(10).map(described).collect();
        assert!(
            self.violations.is_empty(),
            "{what}: {} violations: {first:?}",
            self.violations.len()
        );
        assert_eq!(self.stop["violations"], 0, "{what}");
    }

    /// The first violation of a process.
    pub fn first_of(&self, pid: u32) -> Option<String> {
        self.violations.iter().find(|v| v["pid"] == pid).map(described)
    }
}

/// A violation's reason, context and symbol: `transition: read → execve`.
pub fn described(violation: &Value) -> String {
    let context: Vec<&str> =
        violation["context"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let text = |key: &str| violation[key].as_str().unwrap_or_default().to_string();
    format!("{}: {} → {}", text("reason"), context.join(" "), text("symbol"))
}
