//! When vetoes do not work any more, somebody is told so.

use crate::policy::all_but_after_the_marker;
use nix::sys::signal::{kill, Signal};
use serde_json::{json, Value};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use sysfsm_testing::lab::{Lab, Running};
use sysfsm_testing::pin_directory::{event, PinDirectory};

const FTRACE: &str = "/proc/sys/kernel/ftrace_enabled";

/// Switches programs on functions on again, whatever becomes of the test.
struct SwitchedOff;

impl Drop for SwitchedOff {
    fn drop(&mut self) {
        fs::write(FTRACE, "1").unwrap();
    }
}

/// The metrics of the alarm: whether there is one, and how many there were.
fn figures(socket: &Path) -> (String, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_string()
    };
    (value("sysfsm_alarm"), value("sysfsm_alarms_total"))
}

/// Waits for the alarm to be raised, or cleared.
fn alarm(agent: &mut Running, outcome: &str) -> Value {
    let said = agent.said(|said| event(said, "alarm")["outcome"] == outcome);
    event(&said, "alarm")
}

#[test]
fn vetoes_that_do_not_work_any_more_are_an_alarm() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let saboteur = lab.fixture("saboteur");
    let (policy, file, socket) = (lab.path("policy"), lab.path("precious"), lab.path("metrics"));
    fs::write(&policy, all_but_after_the_marker(&saboteur, "kill").to_string()).unwrap();
    let address = format!("unix:{}", socket.display());
    let options = ["--require", "contain", "--metrics", &address];
    let mut agent = pins.agent(&lab, &policy, &options, "pinned");

    // No alarm, though others make the calls of the self-test all the time, and the agent is
    // stopped for a while.
    let spinning: Vec<_> =
        (0..6).map(|_| lab.start(Command::new(&saboteur).arg("affinity"))).collect();
    sleep(Duration::from_secs(6));
    kill(agent.pid(), Signal::SIGSTOP).unwrap();
    sleep(Duration::from_secs(2));
    kill(agent.pid(), Signal::SIGCONT).unwrap();
    sleep(Duration::from_secs(7));
    let (code, status) = pins.status(&lab);
    drop(spinning);
    assert_eq!((code, &status["failing"], &status["alarms"]), (Some(0), &json!([]), &json!(0)));
    assert_eq!(event(&agent.stdout(), "alarm"), Value::Null, "{}", agent.stdout());
    assert_eq!(figures(&socket), ("0".into(), "0".into()));

    let switched_off = match fs::write(FTRACE, "0") {
        Ok(()) => SwitchedOff,
        Err(error) => {
            // From 7.0 on programs on functions keep it on.
            eprintln!("| ftrace cannot be switched off here: {error}");
            assert_eq!(fs::read_to_string(FTRACE).unwrap().trim(), "1");
            return;
        }
    };
    let raised = alarm(&mut agent, "raised");
    assert!(raised["failing"].as_array().is_some_and(|list| !list.is_empty()), "{raised}");
    let (code, status) = pins.status(&lab);
    assert_eq!((code, &status["failing"]), (Some(1), &raised["failing"]), "{status}");
    assert_eq!(status["enforced"], true);
    sleep(Duration::from_millis(1100));
    assert_eq!(figures(&socket), ("1".into(), "1".into()));

    drop(switched_off);
    assert_eq!(alarm(&mut agent, "cleared")["failing"], json!([]));
    let (code, status) = pins.status(&lab);
    assert_eq!((code, &status["failing"], &status["alarms"]), (Some(0), &json!([]), &json!(1)));
    sleep(Duration::from_millis(1100));
    assert_eq!(figures(&socket), ("0".into(), "1".into()));
    // And it is true.
    fs::write(&file, "precious").unwrap();
    assert!(lab.run(&saboteur, &["sibling", file.to_str().unwrap()], "").killed());
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}
