//! Events in the journal: what an agent sends to a socket that stands for it, and what it does
//! without.

use nix::sys::signal::{kill, Signal};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Lab, Running};
use sysfsm_testing::pin_directory::PinDirectory;
use sysfsm_testing::shell::Shell;

/// What stands for the journal.
struct Listener {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Listener {
    fn new(lab: &Lab) -> Self {
        let path = lab.path("journal");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Listener { path, socket }
    }

    /// The fields of the next event, read as the journal reads them.
    fn next(&self) -> BTreeMap<String, String> {
        let mut bytes = vec![0; 1 << 16];
        let length = self.socket.recv(&mut bytes).unwrap();
        let mut rest = &bytes[..length];
        let mut fields = BTreeMap::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|b| b"=\n".contains(b)).unwrap();
            let name = String::from_utf8(rest[..end].to_vec()).unwrap();
            let (value, after) = if rest[end] == b'=' {
                let length = rest[end..].iter().position(|b| *b == b'\n').unwrap();
                (&rest[end + 1..end + length], &rest[end + length..])
            } else {
                let (length, value) = rest[end + 1..].split_at(8);
                value.split_at(
                    usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap(),
                )
            };
            assert_eq!(after[0], b'\n', "{name}");
            assert!(fields.insert(name, String::from_utf8(value.to_vec()).unwrap()).is_none());
            rest = &after[1..];
        }
        assert_eq!(fields["SYSLOG_IDENTIFIER"], "sysfsm");
        assert_eq!(fields["MESSAGE_ID"].len(), 32, "{fields:?}");
        fields
    }
}

/// An agent whose journal is there. `started`: by what.
fn agent(
    lab: &Lab,
    pins: &PinDirectory,
    policy: &Path,
    listener: &Listener,
    mut started: Command,
) -> Running {
    started.args(["--at-most", "kill", "--pin", "--pins"]).arg(&pins.0).arg("--policy").arg(policy);
    lab.start(started.env("SYSFSM_JOURNAL", &listener.path))
}

#[test]
fn events_have_a_field_for_each_thing_that_they_tell() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let listener = Listener::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let events = lab.path("events");
    let mut command = Command::new(binary());
    command.args(["enforce", "--log", "journald", "--events"]).arg(&events);
    let mut agent = agent(&lab, &pins, &shell.policy, &listener, command);

    let start = listener.next();
    assert_eq!((&*start["SYSFSM_EVENT"], &*start["PRIORITY"]), ("start", "6"), "{start:?}");
    assert!(start["MESSAGE"].starts_with("enforcing at level kill: 1 policy, "), "{start:?}");
    assert!(start["MESSAGE"].ends_with("; pinned: `sysfsm stop` ends it"), "{start:?}");

    let attack = shell.attack(&lab);
    assert!(attack.killed());
    let pid = attack.pid.to_string();
    let violation = listener.next();
    for (name, value) in [
        ("SYSFSM_EVENT", "violation"),
        ("PRIORITY", "4"),
        ("SYSFSM_POLICY", shell.binary.to_str().unwrap()),
        ("SYSFSM_REASON", "transition"),
        ("SYSFSM_ACTION", "kill"),
        ("SYSFSM_SYMBOL", "execve"),
        ("SYSFSM_KILL_FAILED", "0"),
        ("SYSFSM_COMM", "shell"),
        ("SYSFSM_PID", &pid),
        ("SYSFSM_TID", &pid),
    ] {
        assert_eq!(violation[name], value, "{name}");
    }
    let context = &violation["SYSFSM_CONTEXT"];
    assert!(violation["MESSAGE"]
        .ends_with(&format!("`execve` after `{context}` is not in the policy: killed")));
    // By which `explain` finds it in the file.
    let id = format!("\"id\":\"{}\"", violation["SYSFSM_ID"]);
    // The next event comes after the file was written.
    fs::write(&shell.policy, "{}").unwrap();
    assert_eq!(pins.reload(&lab).status.code(), Some(2));
    let refused = listener.next();
    assert_eq!((&*refused["SYSFSM_EVENT"], &*refused["PRIORITY"]), ("reload", "3"), "{refused:?}");
    let file = fs::read_to_string(&events).unwrap();
    assert!(file.contains(&id), "{id} in {file}");
    assert!(refused["MESSAGE"].contains("\nhint: "), "several lines: {refused:?}");
    assert!(
        refused["MESSAGE"].ends_with("nothing was changed: what was enforced still is"),
        "{refused:?}"
    );

    kill(agent.pid(), Signal::SIGTERM).unwrap();
    let leave = listener.next();
    assert_eq!((&*leave["SYSFSM_EVENT"], &*leave["PRIORITY"]), ("leave", "6"), "{leave:?}");
    agent.said(|_| false);
    let ended = agent.end().well("the agent");
    assert_eq!((&*ended.stdout, &*ended.stderr), ("", ""), "said twice");
    let ids: Vec<&String> =
        [&start, &violation, &refused, &leave].map(|e| &e["MESSAGE_ID"]).to_vec();
    assert!((1..4).all(|i| !ids[..i].contains(&ids[i])), "{ids:?}");
}

#[test]
fn whoever_writes_to_the_journal_finds_it_and_goes_on_without() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let listener = Listener::new(&lab);
    let shell = Shell::new(&lab, "shell");
    // As systemd says it.
    let under_systemd = || {
        let mut command = Command::new("sh");
        let script = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";
        command.args(["-c", script, "sh", binary(), "enforce"]);
        command
    };
    let mut found = agent(&lab, &pins, &shell.policy, &listener, under_systemd());
    assert_eq!(listener.next()["SYSFSM_EVENT"], "start");
    assert!(shell.attack(&lab).killed());
    assert_eq!(listener.next()["SYSFSM_EVENT"], "violation");
    assert_eq!(found.stdout(), "");

    // It is gone.
    fs::remove_file(&listener.path).unwrap();
    assert!(shell.attack(&lab).killed());
    let said = found.said(|said| said.contains("killed"));
    assert!(said.contains("`execve` after "), "{said}");
    assert!(found.stderr().contains("the journal takes no event"), "{}", found.stderr());
    kill(found.pid(), Signal::SIGTERM).unwrap();
    let ended = found.end().well("without a journal");
    assert!(ended.stderr.contains("enforcement goes on"), "{}", ended.stderr);

    // Lines were asked for.
    let listener = Listener::new(&lab);
    let mut command = under_systemd();
    command.args(["--log", "plain"]);
    let mut plain = agent(&lab, &pins, &shell.policy, &listener, command);
    plain.complained(|said| said.contains("enforcing at level kill"));
    let mut command = under_systemd();
    command.arg("--json");
    kill(plain.pid(), Signal::SIGTERM).unwrap();
    plain.end().well("plain");
    let mut json = agent(&lab, &pins, &shell.policy, &listener, command);
    json.said(|said| said.contains("\"event\":\"start\""));
    listener.socket.set_nonblocking(true).unwrap();
    assert!(listener.socket.recv(&mut [0]).is_err(), "told twice");
}
