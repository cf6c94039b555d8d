//! The levels above `kill` outlive their agent too.

use crate::policy::all_but_after_the_marker;
use crate::protection::anything;
use nix::sys::signal::{kill, Signal};
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use sysfsm_testing::lab::Lab;
use sysfsm_testing::pin_directory::PinDirectory;

/// Watched, and nothing that it does is a violation.
#[test]
fn what_is_pinned_cannot_be_unpinned_by_whom_it_watches() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let saboteur = lab.fixture("saboteur");
    let policy = anything(&lab, &saboteur);
    let path = pins.0.to_str().unwrap();
    let agent = pins.agent(&lab, &policy, &["--require", "contain"], "pinned");
    let tried = lab.run(&saboteur, &["pins", path], "").well("the saboteur").stdout;
    assert_eq!(tried, "unlink 1\nrename 1\nrmdir 1\numount2 1\n");
    let (_, status) = pins.status(&lab);
    assert!(status["totals"]["protections"].as_u64().unwrap() >= 4, "{status}");
    drop(agent);
    // The look above can fail.
    drop(pins.agent(&lab, &policy, &["--require", "contain", "--no-self-protect"], "replaced"));
    let manifest = pins.0.join("2/manifest");
    assert!(manifest.exists());
    let moved = pins.0.join("1");
    fs::rename(pins.0.join("2"), &moved).unwrap();
    let tried = lab.run(&saboteur, &["pins", path], "").well("the saboteur").stdout;
    assert!(tried.starts_with("unlink 0\n"), "{tried}");
}

#[test]
fn calls_are_refused_when_the_agent_is_dead() {
    const TIMES: usize = 10;
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let saboteur = lab.fixture("saboteur");
    let policy = lab.path("policy");
    fs::write(&policy, all_but_after_the_marker(&saboteur, "kill").to_string()).unwrap();
    let file = lab.path("precious");
    let agent = pins.agent(&lab, &policy, &["--require", "contain"], "pinned");
    kill(agent.pid(), Signal::SIGKILL).unwrap();
    assert!(agent.end().killed());
    for _ in 0..TIMES {
        fs::write(&file, "precious").unwrap();
        let ended = lab.run(&saboteur, &["sibling", file.to_str().unwrap()], "");
        assert!(ended.killed(), "{}", ended.status);
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
    let (code, status) = pins.status(&lab);
    assert_eq!((code, &status["has_agent"]), (Some(0), &false.into()), "{status}");
    assert!(status["level"] != "kill" && status["hooks"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(status["totals"]["violations"], TIMES, "{status}");

    assert_eq!(pins.stop(&lab)["totals"]["violations"], TIMES);
    // The look above can fail.
    let running = lab.start(Command::new(&saboteur).arg("sibling").arg(&file));
    sleep(Duration::from_secs(2));
    drop(running);
    assert!(fs::read_to_string(&file).unwrap().starts_with('x'));
}
