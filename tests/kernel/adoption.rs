//! Processes that hop are adopted: a child goes on, and its creator ends, so that no process id is
//! true for long.

use nix::sys::signal::{kill, Signal};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Lab, Running};
use sysfsm_testing::pin_directory::PinDirectory;
use sysfsm_testing::times;

const KINDS: [&str; 3] = ["fork", "share", "thread"];
/// More hops than there are in a test.
const FOR_EVER: &str = "100000000";

/// A program that hops, and what it shares with the test (tests/programs/src/bin/hops.rs).
struct Hopper {
    shared: File,
    made: PathBuf,
    first: Running,
}

impl Hopper {
    /// Starts it, and waits until it hops.
    #[track_caller]
    fn start(lab: &Lab, command: &mut Command, kind: &str, spin: &str) -> Self {
        let path = shared(lab);
        let first = lab.start(command.arg(&path).args([kind, spin, FOR_EVER]));
        let hopper = Hopper {
            shared: File::options().read(true).write(true).open(&path).unwrap(),
            made: path.with_extension("made"),
            first,
        };
        hopper.goes_on();
        hopper
    }

    fn hops(&self) -> u64 {
        let mut hops = [0; 8];
        self.shared.read_exact_at(&mut hops, 8).unwrap();
        u64::from_ne_bytes(hops)
    }

    /// Waits until it has made some more hops.
    #[track_caller]
    fn goes_on(&self) {
        let (before, since) = (self.hops(), Instant::now());
        while self.hops() < before + 50 {
            assert!(since.elapsed() < Duration::from_secs(20), "it hops no more: {before} hops");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has it attack; whether a process has lived on.
    fn attack(self) -> bool {
        let _ = fs::remove_dir(&self.made);
        self.shared.write_all_at(b"a", 0).unwrap();
        let (mut last, mut since) = (self.hops(), Instant::now());
        while since.elapsed() < Duration::from_millis(300) {
            std::thread::sleep(Duration::from_millis(10));
            if self.hops() != last {
                (last, since) = (self.hops(), Instant::now());
            }
        }
        let mut lives = [0];
        self.shared.read_exact_at(&mut lives, 1).unwrap();
        lives == [1]
    }
}

impl Drop for Hopper {
    fn drop(&mut self) {
        let _ = self.shared.write_all_at(b"q", 0);
    }
}

fn shared(lab: &Lab) -> PathBuf {
    let path = lab.fresh("shared");
    fs::write(&path, [0; 4096]).unwrap();
    path
}

/// The policy of the program, learned from some hops of each kind.
fn policy(lab: &Lab, program: &Path) -> PathBuf {
    let paths = KINDS.map(|_| shared(lab));
    let runs: Vec<[&str; 4]> =
        KINDS.iter().zip(&paths).map(|(k, p)| [p.to_str().unwrap(), k, "0", "20"]).collect();
    let runs: Vec<(&[&str], &str)> = runs.iter().map(|run| (&run[..], "")).collect();
    lab.learn(program, &runs)
}

#[test]
fn a_process_that_hops_is_adopted() {
    let lab = Lab::new();
    let program = lab.fixture("hops");
    let policy = policy(&lab, &program);
    let start = |kind, spin| Hopper::start(&lab, &mut Command::new(&program), kind, spin);
    // In the guests of tests/vm each start takes long.
    let spins = if times() < 50 { &["0"][..] } else { &["0", "3000"] };
    for kind in KINDS {
        assert!(start(kind, "0").attack(), "{kind}: the attack itself");
        for spin in spins {
            let hopper = start(kind, spin);
            let enforcement = lab.enforce(&[&policy], &[]);
            hopper.goes_on();
            assert!(!hopper.attack(), "{kind}, {spin}: an unwatched process attacked");
            let report = enforcement.stop();
            assert_eq!(report.violations.len(), 1, "{kind}, {spin}: {:?}", report.violations);
        }
    }
}

#[test]
fn a_process_whose_first_thread_has_ended_is_adopted() {
    let lab = Lab::new();
    let program = lab.fixture("hops");
    let policy = policy(&lab, &program);
    let hopper = Hopper::start(&lab, &mut Command::new(&program), "thread", "0");
    // It makes no thread while it is looked for.
    kill(hopper.first.pid(), Signal::SIGSTOP).unwrap();
    let mut record = Command::new(binary());
    record.args(["record", "--json", "--pid", &hopper.first.pid().to_string(), "-o"]);
    let mut record = lab.start(record.arg(lab.fresh("policy")));
    let said = record.complained(|said| said.contains("record_start"));
    assert!(said.contains("record_start"), "{said}");
    let enforcement = lab.enforce(&[&policy], &[]);
    kill(hopper.first.pid(), Signal::SIGCONT).unwrap();
    hopper.goes_on();
    assert!(!hopper.attack(), "an unwatched process attacked");
    let report = enforcement.stop();
    assert_eq!(report.violations.len(), 1, "{:?}", report.violations);
}

#[test]
fn a_script_that_hops_is_adopted_and_no_other_script_of_its_interpreter_is() {
    let lab = Lab::new();
    let program = lab.fixture("hops");
    let policy = policy(&lab, &program);
    // The program is the interpreter: the kernel gives it the script's arguments behind the
    // script's path.
    let script = |name: &str| {
        let path = lab.path(name);
        fs::write(&path, format!("#!{} script\n", program.display())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    };
    let (bound, other) = (script("bound"), script("other"));
    let of_script = lab.with(&policy, "binary", bound.to_str().unwrap().into());
    for (policies, name, watched) in [
        (vec![&*of_script], &bound, true),
        (vec![&*of_script], &other, false),
        (vec![&*of_script], &program, false),
        (vec![&*policy], &bound, false),
        (vec![&*policy, &*of_script], &bound, true),
        (vec![&*policy, &*of_script], &other, false),
    ] {
        for path in [name.clone(), Path::new("./").join(name.file_name().unwrap())] {
            let hopper = Hopper::start(&lab, &mut Command::new(&path), "fork", "0");
            let enforcement = lab.enforce(&policies, &[]);
            hopper.goes_on();
            let what = format!("{} under {policies:?}", path.display());
            assert_eq!(!hopper.attack(), watched, "{what}");
            let report = enforcement.stop();
            assert_eq!(report.violations.len(), usize::from(watched), "{what}");
            assert!(watched || report.judged() == 0, "{what}: {} calls", report.judged());
        }
    }
}

#[test]
fn a_running_script_is_not_taken_for_its_interpreter() {
    let lab = Lab::new();
    let interpreter = lab.copy(Path::new("/bin/dash"), "interpreter");
    let policy = lab.learn(&interpreter, &[(&["-c", "read line"], "a")]);
    let script = lab.path("script");
    let text = format!("#!{}\nwhile read line; do echo $line; done\n", interpreter.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let mut running = lab.start(&mut Command::new(&script));
    running.say("before");
    running.said(|said| said.contains("before"));
    let enforcement = lab.enforce(&[&policy], &[]);
    running.say("after");
    running.said(|said| said.contains("after"));
    running.end().well("a script of an interpreter that has a policy");
    assert_eq!(enforcement.stop().judged(), 0);
}

#[test]
fn a_process_that_hops_is_adopted_when_its_policy_comes_later() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let (program, victim) = (lab.fixture("hops"), lab.fixture("victim"));
    let directory = lab.fresh("policies");
    fs::create_dir(&directory).unwrap();
    fs::copy(lab.learn(&victim, &[(&[], "work")]), directory.join("victim.json")).unwrap();
    let agent = pins.agent(&lab, &directory, &["--at-most", "kill"], "pinned");
    let policy = policy(&lab, &program);
    let hoppers = KINDS.map(|k| Hopper::start(&lab, &mut Command::new(&program), k, "0"));
    fs::copy(policy, directory.join("hops.json")).unwrap();
    pins.reload(&lab).well("reload");
    for (kind, hopper) in KINDS.iter().zip(hoppers) {
        hopper.goes_on();
        assert!(!hopper.attack(), "{kind}: an unwatched process attacked");
    }
    drop(agent);
}

#[test]
fn a_set_that_replaces_another_watches_what_that_one_watched() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let (launcher, other) = (lab.fixture_as("hops", "launcher"), lab.fixture_as("hops", "other"));
    let path = shared(&lab);
    let path = path.to_str().unwrap();
    // What the other program does is learned as the launcher's: it is no binary of a policy.
    let runs: [&[&str]; 4] = [
        &["exec", other.to_str().unwrap(), path, "fork", "0", "1"],
        &[path, "fork", "0", "20"],
        &[path, "share", "0", "40"],
        &[path, "thread", "0", "60"],
    ];
    let policy = lab.learn_at("1", &launcher, &runs.map(|run| (run, "")));
    let policy = lab.with(&policy, "children", "inherit".into());
    let mut agent = pins.agent(&lab, &policy, &["--at-most", "kill"], "pinned");
    let turns = if times() < 50 { KINDS.len() } else { 2 * KINDS.len() };
    for (turn, kind) in KINDS.iter().cycle().take(turns).enumerate() {
        let mut command = Command::new(&launcher);
        let hopper = Hopper::start(&lab, command.arg("exec").arg(&other), kind, "0");
        kill(agent.pid(), Signal::SIGKILL).unwrap();
        agent.end();
        // Other options: no set is changed into one with those.
        let options = ["--at-most", "kill", "--require", "kill"];
        let options = if turn % 2 == 0 { &options[..] } else { &options[..2] };
        agent = pins.agent(&lab, &policy, options, "replaced");
        hopper.goes_on();
        let status = pins.status(&lab).1;
        let lives = hopper.attack();
        assert!(
            !lives,
            "{kind} {turn}: a process that was watched attacked: {}{status}",
            agent.stderr()
        );
    }
    drop(agent);
}
