//! What turns enforcement off without bpf(2) is out of a watched thread's reach: files of the
//! kernel, and the kernel's code.

use crate::protection::anything;
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::lab::Lab;

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ENOSYS: i32 = 38;
const FTRACE: &str = "/proc/sys/kernel/ftrace_enabled";

/// The name and the error of each attempt.
fn attempts(text: &str) -> BTreeMap<String, i32> {
    let attempt = |line: &str| {
        let (name, errno) = line.rsplit_once(' ')?;
        Some((name.to_string(), errno.parse().ok()?))
    };
    text.lines().filter_map(attempt).collect()
}

/// A file system of a test's.
struct Mounted(PathBuf);

impl Mounted {
    /// None if this kernel has no such file system.
    fn new(lab: &Lab, kind: &str, data: Option<&str>) -> Option<Self> {
        let at = lab.fresh(kind);
        fs::create_dir(&at).unwrap();
        mount(Some(kind), &at, Some(kind), MsFlags::empty(), data).ok()?;
        Some(Mounted(at))
    }

    fn path(&self, below: &str) -> String {
        self.0.join(below).to_str().unwrap().into()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// A cgroup of a test's.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Self {
        let at = Path::new("/sys/fs/cgroup").join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&at).unwrap();
        Cgroup(at)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().into()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn move_self_to(cgroup: &Path) {
    fs::write(cgroup.join("cgroup.procs"), std::process::id().to_string()).unwrap();
}

/// Asserts that what `free` could do, or fails to do for another reason, `watched` is not permitted
/// to do. `needed` were tried.
fn compare(free: &BTreeMap<String, i32>, watched: &BTreeMap<String, i32>, needed: &[&str]) {
    let there: BTreeMap<_, _> =
        free.iter().filter(|(_, errno)| ![ENOENT, ENOSYS].contains(errno)).collect();
    eprintln!("| {} of {} are there", there.len(), free.len());
    for name in needed {
        assert!(there.keys().any(|tried| tried.ends_with(name)), "{name} is not in {free:?}");
    }
    for (name, errno) in there {
        assert_ne!(*errno, EPERM, "{name} is refused to everybody: the look below cannot fail");
        assert_eq!(watched[name], EPERM, "{name}: {errno} for others");
    }
}

#[test]
fn no_file_of_the_kernel_turns_enforcement_off() {
    let lab = Lab::new();
    let (saboteur, free) = (lab.fixture("saboteur"), lab.fixture_as("saboteur", "free"));
    let policy = anything(&lab, &saboteur);
    let (home, other) = (Cgroup::new("enforcer"), Cgroup::new("other"));
    move_self_to(&home.0);
    let enforcement = lab.enforce(&[&policy], &["--require", "contain"]);
    move_self_to(Path::new("/sys/fs/cgroup"));
    let pid = enforcement.pid();

    // Neither another mount nor another name makes another file of it.
    let proc = Mounted::new(&lab, "proc", None).unwrap();
    let debug = Mounted::new(&lab, "debugfs", None);
    let binfmt = Mounted::new(&lab, "binfmt_misc", None);
    let version_1 = Mounted::new(&lab, "cgroup", Some("none,name=sysfsm"));
    let renamed = lab.fresh("innocent");
    fs::write(&renamed, "").unwrap();
    mount(Some(FTRACE), &renamed, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    let renamed = Mounted(renamed);

    let mut files: Vec<String> = [
        "ftrace_enabled sysrq modprobe core_pattern poweroff_cmd usermodehelper/bset",
        "bpf_stats_enabled panic panic_on_oops",
    ]
    .iter()
    .flat_map(|names| names.split(' '))
    .map(|name| format!("/proc/sys/kernel/{name}"))
    .collect();
    files.extend(
        [
            "/proc/sys/net/core/bpf_jit_enable",
            "/proc/sys/vm/panic_on_oom",
            "/proc/sysrq-trigger",
            "/sys/kernel/uevent_helper",
            "/sys/kernel/security/lockdown",
            "/sys/kernel/security/apparmor/.load",
            "/sys/kernel/security/apparmor/.remove",
        ]
        .map(str::to_string),
    );
    for file in ["oom_score_adj", "comm", "coredump_filter", "clear_refs"] {
        files.push(format!("/proc/{pid}/{file}"));
    }
    files.push(format!("/proc/{pid}/task/{pid}/oom_score_adj"));
    files.push(proc.path("sys/kernel/ftrace_enabled"));
    files.push(proc.path("sysrq-trigger"));
    files.push(renamed.0.to_str().unwrap().into());
    for file in ["cgroup.freeze", "cgroup.kill"] {
        files.push(home.file(file));
    }
    files.extend(debug.as_ref().map(|at| at.path("kprobes/enabled")));
    files.extend(binfmt.as_ref().map(|at| at.path("status")));
    files.extend(version_1.as_ref().map(|at| at.path("release_agent")));

    let files: Vec<&str> =
        ["rewrite"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let others = attempts(&lab.run(&free, &files, "").well("another program").stdout);
    let tried = attempts(&lab.run(&saboteur, &files, "").well("the saboteur").stdout);
    compare(
        &others,
        &tried,
        &[
            FTRACE,
            "sysrq-trigger",
            "lockdown",
            "oom_score_adj",
            "core_pattern",
            "cgroup.freeze",
            "kprobes/enabled",
        ],
    );

    // A descriptor that was opened by somebody else.
    let inherited = |program: &Path| {
        let line = "exec \"$0\" inherited 1 3>/proc/sys/kernel/sysrq";
        let ended = lab.start(Command::new("sh").args(["-c", line]).arg(program)).end();
        ended.well("a shell").stdout
    };
    let sysrq = fs::read_to_string("/proc/sys/kernel/sysrq").unwrap();
    let (others, tried) = (inherited(&free), inherited(&saboteur));
    fs::write("/proc/sys/kernel/sysrq", sysrq).unwrap();
    assert_eq!((others.trim(), tried.trim()), ("0", "1"));

    // What is no switch, and what is somebody else's, is as it was.
    let lawful = lab.fresh("lawful");
    fs::write(&lawful, "x").unwrap();
    let files = [
        "rewrite",
        "/proc/self/oom_score_adj",
        "/proc/self/comm",
        "/proc/sys/kernel/hostname",
        "/proc/sys/vm/swappiness",
        &other.file("cgroup.freeze"),
        &other.file("cgroup.subtree_control"),
        lawful.to_str().unwrap(),
        "/dev/null",
    ];
    let others = attempts(&lab.run(&free, &files, "").well("another program").stdout);
    let tried = attempts(&lab.run(&saboteur, &files, "").well("the saboteur").stdout);
    assert_eq!(tried, others);
    assert!(tried.values().all(|&errno| errno != EPERM), "{tried:?}");

    let report = enforcement.stop();
    assert!(report.violations.is_empty());
    assert!(report.stop["protections"].as_u64().unwrap() > 20, "{}", report.stop);
}

#[test]
fn the_running_kernel_cannot_be_changed() {
    let lab = Lab::new();
    let (saboteur, free) = (lab.fixture("saboteur"), lab.fixture_as("saboteur", "free"));
    let policy = anything(&lab, &saboteur);
    let enforcement = lab.enforce(&[&policy], &["--require", "contain"]);
    let no_module = lab.fresh("no_module");
    fs::write(&no_module, [1; 4096]).unwrap();
    let arguments = ["kernel", no_module.to_str().unwrap()];
    let others = attempts(&lab.run(&free, &arguments, "").well("another program").stdout);
    let tried = attempts(&lab.run(&saboteur, &arguments, "").well("the saboteur").stdout);
    compare(&others, &tried, &["init_module", "finit_module", "ioperm", "iopl"]);
    enforcement.stop();
}

#[test]
fn the_kernel_is_not_made_to_kill_the_enforcer() {
    let lab = Lab::new();
    let saboteur = lab.fixture("saboteur");
    let policy = anything(&lab, &saboteur);
    let enforcement = lab.enforce(&[&policy], &["--require", "contain"]);
    let arguments = ["oom", &enforcement.pid().to_string()];
    let tried = attempts(&lab.run(&saboteur, &arguments, "").well("the saboteur").stdout);
    assert!(tried.len() == 2 && tried.values().all(|&errno| errno == EPERM), "{tried:?}");
    enforcement.stop();

    // The look above can fail: without self-protection it is killed.
    let enforcement = lab.enforce(&[&policy], &["--require", "contain", "--no-self-protect"]);
    let arguments = ["oom", &enforcement.pid().to_string()];
    let tried = attempts(&lab.run(&saboteur, &arguments, "").well("the saboteur").stdout);
    assert!(tried.values().all(|&errno| errno == 0), "{tried:?}");
    assert!(enforcement.end().killed(), "the kernel kills it");
}
