//! Where a violation came from is worked out by a helper process without privileges: a crafted file
//! costs a stack, and nothing else.

use crate::crafted::Crafted;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Lab, Running};
use sysfsm_testing::pin_directory::event;
use sysfsm_testing::random::{seed, Random};

/// Calls that the watched program makes from a mapped file. None of them is in its policy.
const CALLS: [&str; 12] =
    ["39", "102", "104", "107", "108", "110", "111", "186", "24", "63", "95", "140"];

/// How long the agent's own ways may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that runs code of a file, and a shell beside it; an agent that watches both.
struct Scene {
    program: PathBuf,
    shell: PathBuf,
    seen: PathBuf,
    agent: Running,
    lab: Lab,
}

impl Scene {
    fn new() -> Self {
        Scene::with(&[])
    }

    /// The agent is started by these words.
    fn with(before: &[&str]) -> Self {
        let lab = Lab::new();
        let program = lab.fixture("mapped");
        let shell = lab.copy(Path::new("/bin/dash"), "shell");
        let good = lab.path("good");
        Crafted::good().write(&good);
        let policy = lab.learn(&program, &[(&[good.to_str().unwrap()], "")]);
        let shells = lab.learn(&shell, &[(&["-c", "read x; read y; exit 0"], "a\nb")]);
        let seen = lab.path("seen.json");
        let words = [before, &[binary()]].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["enforce", "--json", "--at-most", "kill", "--log-only", "--learn-to"])
            .arg(&seen)
            .arg("--policy")
            .args([policy, shells]);
        let mut agent = lab.start(&mut command);
        let said = agent.said(|said| said.contains("\"event\":\"start\""));
        assert!(said.contains("\"event\":\"start\""), "{}", agent.stderr());
        Scene { program, shell, seen, agent, lab }
    }

    /// Writes a file.
    fn crafted(&self, crafted: &Crafted) -> PathBuf {
        let path = self.lab.fresh("crafted");
        crafted.write(&path);
        path
    }

    /// Makes calls from the code of a file. The program waits then.
    fn call_from(&self, file: &Path, calls: &[&str]) -> Running {
        let mut running = self.lab.start(Command::new(&self.program).arg(file).args(calls));
        running.say("go");
        running
    }

    /// How often the agent has said this.
    fn warned(&self, what: &str) -> usize {
        self.agent.stderr().matches(what).count()
    }

    fn violations(&self) -> Vec<Value> {
        let text = fs::read(&self.seen).unwrap_or_default();
        let file: Value = serde_json::from_slice(&text).unwrap_or_default();
        let policies = file["policies"].as_array().cloned().unwrap_or_default();
        policies
            .iter()
            .flat_map(|policy| policy["violations"].as_array().unwrap().clone())
            .collect()
    }

    /// The functions on the stack of the first violation with this symbol, once it is in the file.
    #[track_caller]
    fn stack(&self, symbol: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.violations().into_iter().find(|v| v["symbol"] == symbol);
            let frames = found.and_then(|v| v["stack"].as_array().cloned()).unwrap_or_default();
            if !frames.is_empty() {
                let name = |f: &Value| f["symbol"].as_str().unwrap_or("?").to_string();
                return frames.iter().map(name).collect();
            }
            assert!(Instant::now() < deadline, "no stack of {symbol}: {}", self.agent.stderr());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a violation with this symbol is in the file, with its stack or without.
    #[track_caller]
    fn is_collected(&self, symbol: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.violations().iter().any(|v| v["symbol"] == symbol) {
            assert!(Instant::now() < deadline, "no violation of {symbol}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A stack of the shell's, which nobody has crafted: of a call that no test makes before.
    #[track_caller]
    fn shell_is_seen(&self, script: &str, symbol: &str) {
        let mut shell = self.lab.start(
            Command::new(&self.shell).args(["-c", &format!("read x; {script}; read y; exit 0")]),
        );
        shell.say("a");
        let stack = self.stack(symbol);
        assert!(stack.contains(&"__libc_start_main".into()), "{stack:?}");
        shell.say("b");
        shell.end().well("the shell");
    }

    /// The helper, once there is another one than these.
    #[track_caller]
    fn helper(&self, but: &[Pid]) -> Pid {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let helpers = helpers_of(self.agent.pid());
            if let Some(helper) = helpers.into_iter().find(|pid| !but.contains(pid)) {
                return helper;
            }
            assert!(Instant::now() < deadline, "no helper");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the agent; its totals.
    #[track_caller]
    fn end(self) -> Value {
        kill(self.agent.pid(), Signal::SIGTERM).unwrap();
        event(&self.agent.end().well("the agent").stdout, "stop")["totals"].take()
    }
}

/// What a process's status says.
fn status(pid: Pid, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The helpers of an agent, that are such by now.
fn helpers_of(agent: Pid) -> Vec<Pid> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw));
    pids.filter(|&pid| {
        status(pid, "PPid") == Some(agent.to_string()) && status(pid, "Seccomp") == Some("2".into())
    })
    .collect()
}

/// Waits until a process has ended.
#[track_caller]
fn gone(pid: Pid) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while status(pid, "State").is_some_and(|state| !state.starts_with('Z')) {
        assert!(Instant::now() < deadline, "the helper {pid} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a process computes.
#[track_caller]
fn busy(pid: Pid) {
    let deadline = Instant::now() + PATIENCE;
    let ticks = || {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        text.rsplit(')').next()?.split(' ').nth(12)?.parse::<u64>().ok()
    };
    let before = ticks().unwrap_or(0);
    while ticks().unwrap_or(0) < before + 10 {
        assert!(Instant::now() < deadline, "the helper {pid} has nothing to do");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kilobytes that a process has had at the most.
fn peak(pid: Pid) -> u64 {
    status(pid, "VmHWM").unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_helper_may_nothing() {
    let scene = Scene::new();
    let helper = scene.helper(&[]);
    let said = |key| status(helper, key).unwrap();
    for sort in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(said(sort), "0".repeat(16), "{sort}");
    }
    assert_eq!((said("NoNewPrivs"), said("Seccomp")), ("1".into(), "2".into()));
    assert_eq!((said("Uid"), said("Gid")), (["65534"; 4].join(" "), ["65534"; 4].join(" ")));
    assert_eq!(said("Groups"), "");
    // Its socket, and nothing of the agent's.
    let open: Vec<String> = fs::read_dir(format!("/proc/{helper}/fd"))
        .unwrap()
        .map(|entry| fs::read_link(entry.unwrap().path()).unwrap().display().to_string())
        .collect();
    let (sockets, others): (Vec<_>, Vec<_>) = open.iter().partition(|o| o.starts_with("socket:"));
    assert_eq!(sockets.len(), 1, "{open:?}");
    assert_eq!(others, ["/dev/null", "/dev/null"]);
    let limits = fs::read_to_string(format!("/proc/{helper}/limits")).unwrap();
    for (name, most) in [
        ("Max cpu time", "120"),
        ("Max data size", "134217728"),
        ("Max address space", "2147483648"),
        ("Max file size", "0"),
        ("Max core file size", "0"),
        ("Max processes", "0"),
        ("Max open files", "256"),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let values: Vec<&str> = line.split_whitespace().take(2).collect();
        assert_eq!(values, [most; 2], "{name}");
    }
    scene.shell_is_seen("cd /", "chdir");
    assert_eq!(scene.end()["stacks_lost"], 0);
    gone(helper);
}

#[test]
fn the_helper_works_with_the_units_capabilities() {
    const UNIT: &str = include_str!("../../packaging/sysfsm.service");
    let kept = UNIT.lines().find_map(|l| l.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let kept: Vec<String> = kept
        .split_whitespace()
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    let bounding = format!("--bounding-set=-all{}", kept.concat());
    let scene = Scene::with(&["setpriv", &bounding, "--inh-caps=-all", "--no-new-privs", "--"]);
    let helper = scene.helper(&[]);
    for sort in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status(helper, sort).unwrap(), "0".repeat(16), "{sort}");
    }
    // Without CAP_SETUID it stays who it is.
    assert_eq!(status(helper, "Uid").unwrap(), ["0"; 4].join(" "));
    scene.shell_is_seen("cd /", "chdir");
    assert_eq!(scene.end()["stacks_lost"], 0);
}

#[test]
fn crafted_files_cost_their_own_stacks_only() {
    let scene = Scene::new();
    let mut running = Vec::new();
    let mut call = |number: &str, file: &Path| running.push(scene.call_from(file, &[number]));
    // What is crafted works, where it tells the truth.
    call(CALLS[0], &scene.crafted(&Crafted::good()));
    let stack = scene.stack("getpid");
    assert_eq!(stack[0], "stub", "{stack:?}");
    assert!(stack.iter().any(|name| name == "mapped::main"), "{stack:?}");
    // Nearly half a gigabyte, of which the file system has nothing.
    let huge = Crafted { claimed: Some(480 << 20), length: Some(500 << 20), ..Crafted::good() };
    call(CALLS[1], &scene.crafted(&huge));
    assert_eq!(scene.stack("getuid")[0], "stub");
    // A name that a demangler takes apart, one part in another.
    let deep = [b"_Z1fI".as_slice(), &vec![b'P'; 200_000], b"iEvv"].concat();
    call(CALLS[2], &scene.crafted(&Crafted { name: deep, ..Crafted::good() }));
    // A table that goes on behind the end of the file, and a file that is cut off in the middle.
    let beyond = Crafted { claimed: Some(1 << 40), ..Crafted::good() };
    call(CALLS[3], &scene.crafted(&beyond));
    call(CALLS[4], &scene.crafted(&Crafted { length: Some(8200), ..Crafted::good() }));
    scene.shell_is_seen("cd /", "chdir");
    assert_eq!(scene.warned("is lost"), 0, "{}", scene.agent.stderr());
    // One that does not end.
    let endless = scene.crafted(&Crafted::endless());
    call(CALLS[5], &endless);
    scene.is_collected("getppid");
    scene.shell_is_seen("umask 022", "umask");
    assert_eq!(scene.warned("the stack of `getppid`"), 1, "{}", scene.agent.stderr());
    assert_eq!(scene.warned("took over 3s"), 1);
    // As many as are read before the policy has cost too much: the shell's are read all the same.
    call(CALLS[6], &endless);
    running.push(scene.call_from(&endless, &CALLS[7..]));
    scene.is_collected("getpriority");
    scene.shell_is_seen("ulimit -n", "prlimit64");
    assert!(peak(scene.agent.pid()) < 200 << 10, "{} KiB", peak(scene.agent.pid()));
    let helper = scene.helper(&[]);
    assert!(peak(helper) < 100 << 10, "{} KiB", peak(helper));
    drop(running);
    // It is said once, and counted: five that cost a helper, and the three calls after these.
    let said = scene.warned("\"event\":\"warning\"");
    let totals = scene.end();
    assert_eq!(said, 1);
    assert_eq!(totals["stacks_lost"], 8, "{totals}");
    gone(helper);
}

#[test]
fn a_helper_that_is_killed_costs_one_stack() {
    let scene = Scene::new();
    let first = scene.helper(&[]);
    let endless = scene.crafted(&Crafted::endless());
    let _running = scene.call_from(&endless, &["110"]);
    busy(first);
    kill(first, Signal::SIGKILL).unwrap();
    gone(first);
    scene.shell_is_seen("cd /", "chdir");
    assert_eq!(scene.warned("SIGKILL"), 1, "{}", scene.agent.stderr());
    // One that has nothing to do: that costs none.
    let second = scene.helper(&[first]);
    kill(second, Signal::SIGKILL).unwrap();
    gone(second);
    scene.shell_is_seen("umask 022", "umask");
    let third = scene.helper(&[first, second]);
    assert_eq!(scene.end()["stacks_lost"], 1);
    gone(third);
}

#[test]
fn a_helper_ends_with_its_agent() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let scene = Scene::new();
        let helper = scene.helper(&[]);
        let endless = scene.crafted(&Crafted::endless());
        let _running = scene.call_from(&endless, &["110"]);
        busy(helper);
        let agent = scene.agent.pid();
        kill(agent, signal).unwrap();
        let mut helpers = vec![helper];
        while status(agent, "State").is_some_and(|state| !state.starts_with('Z')) {
            helpers.extend(helpers_of(agent));
            std::thread::sleep(Duration::from_millis(1));
        }
        // Before the test ends whatever is in the agent's group.
        helpers.into_iter().for_each(gone);
        assert_eq!(scene.agent.end().killed(), signal == Signal::SIGKILL);
    }
}

#[test]
fn files_of_chance_cost_stacks_at_the_most() {
    let scene = Scene::new();
    let mut random = Random(seed());
    let mut running = Vec::new();
    for call in CALLS {
        let path = scene.crafted(&Crafted::good());
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
        for _ in 0..20 {
            // The headers and tables, and not the code.
            let at = random.below(length - 8192 + 120);
            let at = if at < 120 { at } else { at - 120 + 8192 };
            let byte = u8::try_from(random.below(256)).unwrap();
            file.write_all_at(&[byte], at as u64).unwrap();
        }
        running.push(scene.call_from(&path, &[call]));
    }
    scene.shell_is_seen("cd /", "chdir");
    drop(running);
    let totals = scene.end();
    eprintln!("{} of {} stacks were lost", totals["stacks_lost"], CALLS.len());
    assert!(totals["stacks_lost"].as_u64().unwrap() <= CALLS.len() as u64);
}
