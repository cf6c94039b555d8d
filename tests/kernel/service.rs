//! The systemd unit: that it is one, that what it leaves to the agent is enough, and that the agent
//! says when it is ready.

use nix::sys::signal::{kill, Signal};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;
use sysfsm_testing::pin_directory::{event, PinDirectory};
use sysfsm_testing::shell::Shell;

const UNIT: &str = include_str!("../../packaging/sysfsm.service");
const RECORDS: &str = include_str!("../../packaging/sysfsm-record@.service");

/// What a key of the unit is set to.
fn setting(key: &str) -> &str {
    UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap()
}

#[test]
fn the_units_are_units_and_leave_little_open() {
    is_one_and_leaves_little_open("sysfsm.service", UNIT);
    is_one_and_leaves_little_open("sysfsm-record@.service", RECORDS);
    // The same is kept from both, but that one of them does not pin.
    let kept = |unit: &'static str| unit.split_once("# Loading and reading BPF").unwrap().1;
    let kept_from_agent = kept(UNIT).split_once("\n[Install]").unwrap().0;
    assert_eq!(kept_from_agent.replace("ReadWritePaths=/sys/fs/bpf\n", ""), kept(RECORDS));
}

fn is_one_and_leaves_little_open(name: &str, unit: &str) {
    let lab = Lab::new();
    let file = lab.path(name);
    // The program need not be installed for this.
    fs::write(&file, unit.replace("@PREFIX@/bin/sysfsm", binary())).unwrap();
    let verify = lab
        .start(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file))
        .end()
        .well("verify");
    assert!(!verify.stderr.contains("sysfsm"), "{}", verify.stderr);
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=yes", "--threshold=25", "--no-pager"]).arg(&file);
    let said = lab.start(&mut security).end().well("more is open than 2.5 of 10").stdout;
    eprintln!("{}", said.lines().last().unwrap_or_default());
}

#[test]
fn the_units_capabilities_are_enough() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    // Another user's process that was there before.
    run(Command::new("chmod").arg("755").arg(shell.binary.parent().unwrap()));
    let mut server = lab.start(
        Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&shell.binary)
            .args([
                "-c",
                "while read x; do echo \"$x\"; [ \"$x\" != attack ] || exec /bin/true; done",
            ]),
    );
    server.say("one");
    server.said(|said| said.contains("one"));

    let capabilities: Vec<String> = setting("CapabilityBoundingSet")
        .split_whitespace()
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect();
    let mut agent = Command::new("setpriv");
    agent.arg(format!("--bounding-set=-all{}", capabilities.concat()));
    agent.args([
        "--inh-caps=-all",
        "--no-new-privs",
        "--",
        binary(),
        "enforce",
        "--json",
        "--at-most",
        "kill",
    ]);
    agent.args(["--detach", "--pins"]).arg(&pins.0).arg("--policy").arg(&shell.policy);
    let said = lab.start(&mut agent).end().well("the agent").stdout;
    assert_eq!(event(&said, "start")["adopted"], 1, "{said}");
    server.say("two");
    server.said(|said| said.contains("two"));
    server.say("attack");
    assert!(server.end().killed(), "another user's process was not adopted");
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

#[test]
fn the_agent_says_when_it_is_ready() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let socket = lab.path("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let heard = || {
        let mut text = [0; 4096];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let mut command = pins.enforce(&shell.policy, &["--at-most", "kill", "--pin"]);
    let mut agent = lab.start(command.env("NOTIFY_SOCKET", &socket));
    let ready = heard();
    // Not before.
    assert!(agent.stdout().contains("\"event\":\"start\""), "{ready}");
    assert!(ready.starts_with("READY=1\nSTATUS=enforcing at level kill: 1 policy"), "{ready}");
    kill(agent.pid(), Signal::SIGHUP).unwrap();
    assert!(heard().starts_with("RELOADING=1"));
    assert!(heard().starts_with("READY=1"));
    agent.said(|said| event(said, "reload")["outcome"] == "taken over");
    fs::write(&shell.policy, "{}").unwrap();
    kill(agent.pid(), Signal::SIGHUP).unwrap();
    assert!(heard().starts_with("RELOADING=1"));
    // Still ready: with what was there before.
    assert!(heard().starts_with("READY=1"));
    kill(agent.pid(), Signal::SIGTERM).unwrap();
    assert!(heard().starts_with("STOPPING=1"));
    agent.end().well("the agent");
}
