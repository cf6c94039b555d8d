//! What is enforced when a call of the agent's fails, whichever: all of it, or what was before, and
//! the agent says which.
//!
//! strace makes the calls fail. Needs root, and fails where BPF cannot run.

use nix::sys::signal::{kill, Signal};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Ended, Lab, Running};
use sysfsm_testing::pin_directory::{event, PinDirectory};
use sysfsm_testing::random::Random;
use sysfsm_testing::shell::Shell;

/// What is enforced before the agent comes whose calls fail. It is to enforce the policy of the
/// second shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Same,
    /// The policy of the first shell: it is changed in place.
    Other,
}

/// What the agent says of the state that it leaves, when it fails.
const NOTHING: &str = "nothing is enforced";
const AS_BEFORE: &str = "what was enforced still is";
const ALL_THE_SAME: &str = "the policies are enforced all the same";
/// Only if adoption fails, and then loading anew.
const NOT_ADOPTED: &str = "the policies are enforced, but perhaps not for what ran before them";

/// How long a set may hold that was unpinned.
const PATIENCE: Duration = Duration::from_secs(5);

struct Trial {
    before: Before,
    pins: PinDirectory,
    first: Shell,
    second: Shell,
    /// A shell of each, running all the time.
    servers: [Running; 2],
    lines: usize,
    lab: Lab,
}

impl Trial {
    fn new(before: Before) -> Self {
        let lab = Lab::new();
        let (first, second) = (Shell::new(&lab, "first"), Shell::new(&lab, "second"));
        let servers = [first.serve(&lab), second.serve(&lab)];
        let trial =
            Trial { before, pins: PinDirectory::new(&lab), first, second, servers, lines: 0, lab };
        trial.begin();
        trial
    }

    fn agent(&self, policy: &Path) -> Command {
        self.pins.enforce(policy, &["--at-most", "kill", "--detach"])
    }

    /// Has this be enforced, by an agent none of whose calls fails.
    #[track_caller]
    fn enforce(&self, shell: &Shell) {
        let ended = self.lab.start(&mut self.agent(&shell.policy)).end();
        assert_eq!(ended.well("the agent").stderr, "");
        assert!(self.enforced().contains(&shell.binary.display().to_string()));
    }

    /// Makes it what it is to be before.
    fn begin(&self) {
        match self.before {
            Before::Nothing => drop(self.pins.stop(&self.lab)),
            Before::Same => self.enforce(&self.second),
            Before::Other => self.enforce(&self.first),
        }
    }

    /// The binaries that are said to be enforced.
    fn enforced(&self) -> Vec<String> {
        let (_, status) = self.pins.status(&self.lab);
        let policies = status["policies"].as_array().cloned().unwrap_or_default();
        policies.iter().map(|policy| policy["policy"].as_str().unwrap().to_string()).collect()
    }

    /// Runs the agent under strace with these options; its log besides.
    fn run(&self, options: &[&str]) -> (Ended, String) {
        let log = self.lab.fresh("strace");
        let agent = self.agent(&self.second.policy);
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-o"])
            .arg(&log)
            .args(options)
            .arg(binary())
            .args(agent.get_args());
        let ended = self.lab.start(&mut strace).end();
        (ended, fs::read_to_string(&log).unwrap_or_default())
    }

    /// Asserts that the machine is as it was before (`false`), or that all of it is enforced, and
    /// that what is said is so.
    #[track_caller]
    fn is(&mut self, changed: bool, what: &str) {
        let first = !changed && self.before == Before::Other;
        let second = changed || self.before == Before::Same;
        for (shell, bound) in [(&self.first, first), (&self.second, second)] {
            let mut killed = shell.attack(&self.lab).killed();
            // What is unpinned the kernel takes off a moment later.
            let deadline = Instant::now() + PATIENCE;
            while !bound && killed && Instant::now() < deadline {
                killed = shell.attack(&self.lab).killed();
            }
            assert_eq!(killed, bound, "{what}: {}", shell.binary.display());
            assert!(shell.lives(&self.lab), "{what}: {} was hurt", shell.binary.display());
        }
        self.lines += 1;
        for server in &mut self.servers {
            let line = format!("line {}\n", self.lines);
            server.say(line.trim_end());
            assert!(
                server.said(|said| said.ends_with(&line)).ends_with(&line),
                "{what}: a server was hurt"
            );
        }
        let said: Vec<String> = [(&self.first, first), (&self.second, second)]
            .iter()
            .filter(|(_, bound)| *bound)
            .map(|(shell, _)| shell.binary.display().to_string())
            .collect();
        assert_eq!(self.enforced(), said, "{what}");
        let sets = fs::read_dir(&self.pins.0).map_or(0, Iterator::count);
        assert_eq!(sets, said.len(), "{what}: sets of pins");
    }

    /// Has calls fail, and looks at what comes of it: fails if anything is half. Whether the agent
    /// has ended well; none if it has not come to that call.
    #[track_caller]
    fn try_fail(&mut self, options: &[&str]) -> Option<bool> {
        let (ended, log) = self.run(options);
        let what = format!("{:?}, {options:?}: {}\n{}", self.before, ended.status, ended.stderr);
        let reached = log.contains("(INJECTED)");
        let well = ended.status.success();
        assert!(reached || well, "{what}");
        if well {
            self.is(true, &what);
        } else {
            assert_eq!(ended.status.code(), Some(2), "{what}");
            assert!(
                ended.stderr.contains(r#""event":"error""#) && !ended.stderr.contains("panicked"),
                "{what}"
            );
            let changed = ended.stderr.contains(ALL_THE_SAME);
            let unchanged = if self.before == Before::Nothing { NOTHING } else { AS_BEFORE };
            assert!(
                changed || ended.stderr.contains(unchanged),
                "it does not say how things are: {what}"
            );
            self.is(changed, &what);
        }
        // Whatever has failed, the next one does it.
        self.enforce(&self.second);
        assert!(self.second.attack(&self.lab).killed(), "the one after {what}");
        self.begin();
        reached.then_some(well)
    }

    /// Has a call fail to which the agent comes for certain.
    #[track_caller]
    fn fail(&mut self, options: &[&str]) -> bool {
        self.try_fail(options).expect("a call that failed")
    }

    /// Has a call fail, and all after it; what it says of how things are.
    #[track_caller]
    fn fail_from(&mut self, nth: usize) -> &'static str {
        let inject = format!("inject=bpf:error=ENOMEM:when={nth}+");
        let (ended, _) = self.run(&["-e", "trace=bpf", "-e", &inject]);
        let what = format!("{:?}, from {nth} on: {}\n{}", self.before, ended.status, ended.stderr);
        let said = [AS_BEFORE, ALL_THE_SAME, NOT_ADOPTED]
            .into_iter()
            .find(|said| ended.stderr.contains(said));
        // It did not come so far, or needs none of them.
        let said = said.unwrap_or("");
        assert_eq!(ended.status.code(), Some(if said.is_empty() { 0 } else { 2 }), "{what}");
        self.is(said != AS_BEFORE, &what);
        self.enforce(&self.second);
        assert!(self.second.attack(&self.lab).killed(), "the one after {what}");
        self.begin();
        said
    }
}

/// The calls of bpf(2) that an agent makes which finds nothing amiss, by their commands: their
/// places among all.
fn commands(trial: &Trial) -> BTreeMap<String, Vec<usize>> {
    let (ended, log) = trial.run(&["-e", "trace=bpf"]);
    ended.well("the agent");
    trial.begin();
    let mut commands: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let calls = log.lines().filter_map(|line| line.split_once("bpf(")?.1.split([',', ' ']).next());
    for (nth, command) in calls.enumerate() {
        commands.entry(command.to_string()).or_default().push(nth + 1);
    }
    commands
}

/// How many calls are chosen by chance, besides the first, middle and last of each kind.
const CHOSEN: usize = 60;

fn each_call(before: Before) {
    let mut trial = Trial::new(before);
    let commands = commands(&trial);
    let all: Vec<usize> = commands.values().flatten().copied().collect();
    let mut chosen: BTreeSet<usize> = commands
        .values()
        .flat_map(|places| [places[0], places[places.len() / 2], places[places.len() - 1]])
        .collect();
    let mut random = Random(0xfa11);
    while chosen.len() < all.len().min(CHOSEN) {
        chosen.insert(random.pick(&all));
    }
    let mut outcomes = BTreeMap::<Option<bool>, usize>::new();
    for nth in &chosen {
        let inject = format!("inject=bpf:error=ENOMEM:when={nth}");
        *outcomes.entry(trial.try_fail(&["-e", "trace=bpf", "-e", &inject])).or_default() += 1;
    }
    let of = |outcome| outcomes.get(&outcome).copied().unwrap_or(0);
    let (well, refused, beyond) = (of(Some(true)), of(Some(false)), of(None));
    eprintln!(
        "{before:?}: of {} calls {refused} failed with an error, {well} without, {beyond} were none this time",
        all.len()
    );
    // How many there are depends on how many policies and threads there were before.
    assert!(refused > 0 && well > 0 && beyond * 5 < chosen.len(), "{outcomes:?}");
}

#[test]
fn nothing_is_half_enforced_when_there_was_nothing() {
    each_call(Before::Nothing);
}

#[test]
fn nothing_is_half_enforced_when_it_was_enforced_already() {
    each_call(Before::Same);
}

#[test]
fn nothing_is_half_enforced_when_something_else_was() {
    each_call(Before::Other);
}

/// From each of the last calls on, which are those that change something.
#[test]
fn what_keeps_failing_is_told_as_it_is_and_healed_by_the_next() {
    let mut trial = Trial::new(Before::Other);
    let all = commands(&trial).values().flatten().copied().max().unwrap();
    let mut outcomes = BTreeMap::<&str, usize>::new();
    for nth in (all - 60..=all).step_by(2) {
        *outcomes.entry(trial.fail_from(nth)).or_default() += 1;
    }
    eprintln!("{outcomes:?}");
    let all =
        [AS_BEFORE, NOT_ADOPTED, ALL_THE_SAME].map(|said| outcomes.get(said).copied().unwrap_or(0));
    assert!(all[0] > 0 && all[1] + all[2] > 0, "{outcomes:?}");
}

/// The table, the variables and the ring buffer are memory that is shared with the kernel.
#[test]
fn shared_memory_that_cannot_be_had_changes_nothing() {
    for before in [Before::Nothing, Before::Other] {
        let mut trial = Trial::new(before);
        let (ended, log) = trial.run(&["-e", "trace=mmap"]);
        ended.well("the agent");
        trial.begin();
        let calls = log.lines().filter(|line| line.contains("mmap(")).enumerate();
        let places: Vec<usize> =
            calls.filter(|(_, line)| line.contains("MAP_SHARED")).map(|(at, _)| at + 1).collect();
        assert!(places.len() > 3, "{log}");
        let mut refused = 0;
        for nth in &places {
            let inject = format!("inject=mmap:error=ENOMEM:when={nth}");
            refused +=
                usize::from(trial.try_fail(&["-e", "trace=mmap", "-e", &inject]) == Some(false));
        }
        eprintln!("{before:?}: {refused} of {} failed with an error", places.len());
        assert!(refused > 0);
    }
}

#[test]
fn a_policy_that_cannot_be_read_changes_nothing() {
    for before in [Before::Nothing, Before::Same, Before::Other] {
        let mut trial = Trial::new(before);
        let policy = trial.second.policy.display().to_string();
        for error in ["EIO", "EACCES"] {
            let inject = format!("inject=openat:error={error}");
            assert!(!trial.fail(&["-P", &policy, "-e", "trace=openat", "-e", &inject]), "{error}");
        }
    }
}

#[test]
fn a_kernel_without_membarrier_is_waited_for() {
    let mut trial = Trial::new(Before::Other);
    assert!(trial.fail(&["-e", "trace=membarrier", "-e", "inject=membarrier:error=EPERM"]));
}

/// A shell's commands in a mount namespace of their own, with `$0` the program under test.
#[track_caller]
fn apart(lab: &Lab, commands: &str, arguments: &[&Path]) -> Ended {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "bash", "-euc", commands, binary()]).args(arguments);
    lab.start(&mut unshare).end()
}

#[test]
fn what_cannot_be_pinned_for_a_read_only_file_system_is_not_enforced() {
    let lab = Lab::new();
    let shell = Shell::new(&lab, "shell");
    let commands = r#"
        mkdir bpf; mount -t bpf bpf bpf; mount -o remount,bind,ro bpf
        "$0" enforce --at-most kill --detach --pins bpf/sysfsm --policy "$1""#;
    let ended = apart(&lab, commands, &[&shell.policy]);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("Read-only file system") && ended.stderr.contains(NOTHING),
        "{}",
        ended.stderr
    );
    assert!(shell.attack(&lab).status.success());
}

#[test]
fn a_full_disk_takes_no_events_and_enforcement_goes_on() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    // A page, of which the beginning takes a part.
    let commands = r#"
        mkdir disk; mount -t tmpfs -o size=4k none disk
        "$0" enforce --at-most kill --json --pin --pins "$2" --policy "$1" --events disk/events >said & agent=$!
        until grep -q '"event":"start"' said; do kill -0 $agent; sleep 0.02; done
        for turn in $(seq 30); do
            status=0; echo a | "$3" -c 'read x; echo "$x"; exec /bin/true' >/dev/null || status=$?
            echo $status
            sleep 0.05
        done
        kill $agent; wait $agent"#;
    let ended = apart(&lab, commands, &[&shell.policy, &pins.0, &shell.binary]).well("the agent");
    assert_eq!(ended.stdout, "137\n".repeat(30));
    let said = ended.stderr.matches("events go there no more").count();
    assert!(said == 1 && ended.stderr.contains("disk/events"), "{}", ended.stderr);
    // Whoever reads the other stream has all of it.
    let told = fs::read_to_string(lab.path("said")).unwrap();
    assert_eq!(event(&told, "leave")["event"], "leave", "{told}");
}

#[test]
fn an_agent_that_is_stopped_blocks_nobody() {
    const STORM: usize = 300;
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let agent = pins.agent(&lab, &shell.policy, &["--at-most", "kill"], "pinned");
    kill(agent.pid(), Signal::SIGSTOP).unwrap();
    for turn in 0..STORM {
        assert!(shell.attack(&lab).killed(), "attack {turn}");
    }
    assert!(shell.lives(&lab));
    let (_, status) = pins.status(&lab);
    assert_eq!(status["totals"]["violations"], STORM, "{status}");
    kill(agent.pid(), Signal::SIGCONT).unwrap();
    kill(agent.pid(), Signal::SIGTERM).unwrap();
    agent.end().well("the agent");
}
