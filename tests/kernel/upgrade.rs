//! sysfsm itself is upgraded under load: another build's agent takes the place of this one's, back
//! and forth.

use nix::sys::signal::{kill, Signal};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;
use sysfsm_testing::pin_directory::{event, PinDirectory};
use sysfsm_testing::shell::Shell;

/// What tells builds apart that do not understand each other's maps.
const STAMP: &str = env!("SYSFSM_STAMP");

/// A copy of the program that takes itself for another build.
fn another_build(lab: &Lab) -> PathBuf {
    let mut bytes = fs::read(binary()).unwrap();
    let places: Vec<usize> = (0..bytes.len() - STAMP.len())
        .filter(|&at| bytes[at..].starts_with(STAMP.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "the stamp {STAMP} is not in the program");
    for at in places {
        bytes[at..at + STAMP.len()].copy_from_slice(b"0123456789abcdef");
    }
    let unmarked = lab.path("unmarked");
    fs::write(&unmarked, bytes).unwrap();
    // By a copy of cp's, that nobody holds open for writing.
    let other = lab.copy(&unmarked, "another-sysfsm");
    assert!(Command::new("chmod").arg("755").arg(&other).status().unwrap().success());
    other
}

#[test]
fn an_upgrade_under_load_leaves_no_gap() {
    const TURNS: usize = 20;
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let other = another_build(&lab);
    let builds = [Path::new(binary()), &other];
    let begin = |turn: usize, pinned: &str| {
        let options = pins.enforce(&shell.policy, &["--at-most", "kill", "--pin"]);
        let mut agent = lab.start(Command::new(builds[turn % 2]).args(options.get_args()));
        let said = agent.said(|said| said.contains("\"event\":\"start\""));
        assert_eq!(
            event(&said, "start")["outcome"],
            pinned,
            "turn {turn}: {said}{}",
            agent.stderr()
        );
        agent
    };
    let first = begin(0, "pinned");
    let (attacks, lives, agent) = shell.under_load(&lab, |wrong| {
        let mut agent = first;
        for turn in 1..=TURNS {
            if wrong() {
                break;
            }
            // Two builds, two ways to go, each with each.
            let signal = if turn % 4 < 2 { Signal::SIGTERM } else { Signal::SIGKILL };
            kill(agent.pid(), signal).unwrap();
            agent.end();
            agent = begin(turn, "replaced");
            // Asked of this build.
            let (code, status) = pins.status(&lab);
            assert_eq!((code, &status["has_agent"]), (Some(0), &true.into()), "{status}");
            assert_eq!(
                (&status["level"], &status["version"]),
                (&"kill".into(), &env!("CARGO_PKG_VERSION").into())
            );
            let binary = shell.binary.to_str().unwrap();
            assert_eq!(status["policies"][0]["policy"], binary, "{status}");
            assert_eq!(status["totals"].is_null(), turn % 2 == 1, "turn {turn}: {status}");
        }
        agent
    });
    eprintln!(
        "{TURNS} upgrades; {attacks} attacks were stopped, {lives} processes and a server lived"
    );
    assert!(attacks > TURNS && lives > TURNS, "{attacks} attacks, {lives} processes");
    assert_eq!(fs::read_dir(&pins.0).unwrap().count(), 1, "sets of pins");
    // Any build ends what any other one has begun.
    kill(agent.pid(), Signal::SIGKILL).unwrap();
    agent.end();
    drop(begin(1, "replaced"));
    assert_eq!(pins.stop(&lab)["enforced"], true);
    assert!(shell.attack(&lab).status.success() && !pins.0.exists());
}
