//! `sysfsm top`: that it tells what is so, takes no event from the agent, and gives the terminal
//! back.

use nix::sys::signal::{kill, Signal};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;
use sysfsm_testing::pin_directory::{event, PinDirectory};
use sysfsm_testing::shell::Shell;

fn top(pins: &PinDirectory) -> Command {
    let mut command = Command::new(binary());
    command.args(["top", "--pins"]).arg(&pins.0);
    command
}

fn once(lab: &Lab, pins: &PinDirectory) -> (Option<i32>, Value) {
    let ended = lab.start(top(pins).args(["--json", "--once"])).end();
    assert_eq!(ended.stdout.lines().count(), 1, "{}{}", ended.stdout, ended.stderr);
    (ended.status.code(), event(&ended.stdout, "top"))
}

#[test]
fn it_tells_what_is_so_and_takes_nothing_from_the_agent() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let (code, nothing) = once(&lab, &pins);
    assert_eq!((code, &nothing["enforced"]), (Some(1), &false.into()));

    let events = lab.path("events");
    let options = ["--at-most", "kill", "--events", events.to_str().unwrap()];
    let mut agent = pins.agent(&lab, &shell.policy, &options, "pinned");
    let mut server = shell.serve(&lab);
    server.say("one");
    server.said(|said| said.contains("one"));
    let mut watching = lab.start(top(&pins).args(["--json", "--events"]).arg(&events));
    watching.said(|said| said.lines().count() >= 1);
    assert!(shell.attack(&lab).killed());
    // Each has it.
    agent.said(|said| said.contains("\"event\":\"violation\""));
    let said = watching.said(|said| said.contains("\"symbol\":\"execve\""));
    let last = event(&said, "top");
    assert_eq!(last["policies"][0]["violations"], 1, "{last}");
    assert_eq!(last["new_violations"][0]["policy"], shell.binary.to_str().unwrap(), "{last}");
    kill(watching.pid(), Signal::SIGTERM).unwrap();
    watching.end().well("top");

    let (code, now) = once(&lab, &pins);
    assert_eq!(code, Some(0));
    for (key, value) in [("level", "kill"), ("version", env!("CARGO_PKG_VERSION"))] {
        assert_eq!(now[key], value, "{now}");
    }
    assert_eq!(
        (&now["has_agent"], &now["totals"]["violations"]),
        (&true.into(), &1.into()),
        "{now}"
    );
    assert_eq!(
        (&now["rates"]["calls_per_second"], &now["rates"]["violations_per_second"]),
        (&0.0.into(), &0.0.into()),
        "{now}"
    );
    assert!(now["new_violations"].is_null() && now["policies"][0]["violations"] == 1, "{now}");
    let process = &now["processes"][0];
    assert_eq!(
        (&process["pid"], &process["threads"]),
        (&server.pid().as_raw().into(), &1.into()),
        "{now}"
    );
    assert_eq!(
        (&process["comm"], &process["policy"]),
        (&"shell".into(), &shell.binary.to_str().unwrap().into())
    );
    // It waits for a line.
    assert_eq!(process["contexts"][0]["context"], serde_json::json!(["read"]), "{now}");
}

#[test]
fn it_draws_on_a_terminal_only_and_gives_it_back() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let refused = lab.start(&mut top(&pins)).end();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        refused.stderr.contains("stdout is no terminal, and") && refused.stderr.contains("--json")
    );

    // script(1) makes a terminal, and has what it is told typed there.
    let log = lab.path("typescript");
    let command =
        format!("stty rows 24 cols 80; {} top --pins {}; stty -a", binary(), pins.0.display());
    let on_a_terminal = || {
        let mut terminal = lab.start(Command::new("script").args(["-qefc", &command]).arg(&log));
        // Blanks are not drawn: they are there already.
        let drawn = terminal.said(|said| said.contains("nothing"));
        assert!(drawn.contains("\u{1b}[?1049h"), "not on a screen of its own: {drawn:?}");
        terminal
    };
    let mut terminal = on_a_terminal();
    terminal.say("q");
    let said = terminal.end().well("top").stdout;
    let (_, after) = said.split_once("\u{1b}[?1049l").expect("the screen is left");
    for mode in ["icanon", "echo", "isig"] {
        assert!(after.split_whitespace().any(|word| word == mode), "{mode} in {after}");
    }

    // Of a terminal that is gone nobody is left.
    let terminal = on_a_terminal();
    let left = || {
        let path = pins.0.to_str().unwrap();
        let of_this_test = |pid: &str| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(binary()) && line.contains(path)
        };
        let names = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().is_some_and(of_this_test)).count()
    };
    assert_eq!(left(), 1);
    kill(terminal.pid(), Signal::SIGKILL).unwrap();
    terminal.end();
    let deadline = Instant::now() + Duration::from_secs(60);
    while left() > 0 {
        assert!(Instant::now() < deadline, "it is still there");
        sleep(Duration::from_millis(20));
    }
}
