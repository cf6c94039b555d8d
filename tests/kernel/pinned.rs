//! Enforcement that outlives its agent: killed, replaced, reloaded, ended by another.

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use sysfsm_testing::binary;
use sysfsm_testing::lab::{Ended, Lab, Running};
use sysfsm_testing::pin_directory::{event, PinDirectory};
use sysfsm_testing::random::Random;
use sysfsm_testing::shell::Shell;

/// No more than every kernel reaches, and starts at once.
const KILL: [&str; 2] = ["--at-most", "kill"];

fn end(agent: Running, signal: Signal) -> Ended {
    kill(agent.pid(), signal).unwrap();
    agent.end()
}

#[test]
fn enforcement_outlives_its_agent_until_it_is_stopped() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    assert_eq!(pins.status(&lab).0, Some(1));
    assert_eq!(pins.stop(&lab)["enforced"], false);

    let agent = pins.agent(&lab, &shell.policy, &KILL, "pinned");
    let mut server = shell.serve(&lab);
    server.say("one");
    server.said(|said| said.contains("one"));
    let second = lab.start(&mut pins.enforce(&shell.policy, &["--at-most", "kill", "--pin"])).end();
    assert_eq!(second.status.code(), Some(2), "two agents at once: {}", second.stdout);
    assert!(second.stderr.contains("another sysfsm"), "{}", second.stderr);
    assert!(shell.attack(&lab).killed());
    let (code, status) = pins.status(&lab);
    assert_eq!(
        (code, &status["enforced"], &status["has_agent"]),
        (Some(0), &true.into(), &true.into())
    );
    assert_eq!(status["policies"][0]["processes"], 1, "{status}");
    assert_eq!(status["policies"][0]["threads"], 1, "{status}");
    assert!(end(agent, Signal::SIGKILL).killed());

    // Nobody is there.
    let before = status["totals"]["violations"].as_u64().unwrap();
    let attack = shell.attack(&lab);
    assert!(attack.killed(), "not killed when the agent was dead");
    assert!(shell.lives(&lab));
    server.say("two");
    server.said(|said| said.contains("two"));
    let (_, status) = pins.status(&lab);
    assert_eq!(
        (&status["has_agent"], &status["level"]),
        (&false.into(), &"kill".into()),
        "{status}"
    );
    assert_eq!(status["totals"]["violations"].as_u64().unwrap(), before + 1, "{status}");

    // What happened meanwhile is reported by the next one.
    let mut agent = pins.agent(&lab, &shell.policy, &KILL, "taken over");
    let pid = format!("\"pid\":{}", attack.pid);
    let said = agent.said(|said| said.contains(&pid));
    assert_eq!(event(&said, "violation")["symbol"], "execve", "{said}");
    let left = end(agent, Signal::SIGTERM).well("the agent");
    assert_eq!(event(&left.stdout, "leave")["event"], "leave", "{}", left.stdout);
    assert!(shell.attack(&lab).killed());

    let agent = pins.agent(&lab, &shell.policy, &KILL, "taken over");
    let stopped = pins.stop(&lab);
    let told = agent.end().well("an agent of what has ended").stdout;
    assert_eq!(event(&told, "stop")["totals"]["violations"], 3, "{told}");
    assert_eq!(
        (&stopped["enforced"], &stopped["totals"]["violations"]),
        (&true.into(), &3.into()),
        "{stopped}"
    );
    assert!(shell.attack(&lab).status.success(), "still enforced");
    assert!(!pins.0.exists());
    assert_eq!(pins.status(&lab).0, Some(1));
    server.say("three");
    assert_eq!(server.end().well("the server").stdout, "one\ntwo\nthree\n");
}

#[test]
fn an_agent_that_is_killed_at_any_moment_leaves_no_gap() {
    // In the guests of tests/vm each takes seconds.
    let deaths = std::env::var("TIMES").map_or(200, |times| times.parse::<usize>().unwrap() / 4);
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let mut random = Random(0x5eed);
    // With other options each second one replaces what it finds, the others take it over, where
    // they come to it.
    let options = |turn: usize| if turn % 4 < 2 { "--pin" } else { "--pin --no-self-protect" };
    // While they start, and a while after. The fastest start of three: what else the machine does is
    // no part of it.
    let start = |_| {
        pins.stop(&lab);
        let begun = Instant::now();
        assert!(end(pins.agent(&lab, &shell.policy, &KILL, "pinned"), Signal::SIGKILL).killed());
        begun.elapsed().as_millis()
    };
    let fastest = (0..3).map(start).min().unwrap();
    let longest = 2 * u64::try_from(fastest).unwrap();
    let (attacks, lives, ()) = shell.under_load(&lab, |wrong| {
        for turn in 0..deaths {
            if wrong() {
                break;
            }
            let words: Vec<&str> = KILL.into_iter().chain(options(turn).split(' ')).collect();
            let agent = lab.start(&mut pins.enforce(&shell.policy, &words));
            sleep(Duration::from_millis(random.number() % longest));
            assert!(end(agent, Signal::SIGKILL).killed(), "the agent ended by itself");
        }
    });
    eprintln!("{deaths} agents died; {attacks} attacks were stopped, {lives} processes and a server lived");
    assert!(attacks > deaths / 4 && lives > deaths / 4, "{attacks} attacks, {lives} processes");
    // Whoever comes last clears up behind all of them.
    let agent = lab
        .start(&mut pins.enforce(&shell.policy, &["--at-most", "kill", "--detach"]))
        .end()
        .well("the last agent");
    assert!(agent.stdout.contains("\"event\":\"leave\""), "{}", agent.stdout);
    assert_eq!(fs::read_dir(&pins.0).unwrap().count(), 1);
    assert_eq!(pins.status(&lab).1["policies"][0]["threads"], 0);
}

#[test]
fn a_reload_takes_all_of_the_new_policies_or_none() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let (first, second) = (Shell::new(&lab, "first"), Shell::new(&lab, "second"));
    let policies = lab.path("policies");
    fs::create_dir(&policies).unwrap();
    fs::copy(&first.policy, policies.join("first.json")).unwrap();
    let mut agent = pins.agent(&lab, &policies, &KILL, "pinned");
    let agent_pid = agent.pid().as_raw();
    let mut server = first.serve(&lab);
    let mut echo = |line: &str| {
        server.say(line);
        let line = format!("{line}\n");
        assert!(server.said(|said| said.ends_with(&line)).ends_with(&line), "the server was hurt");
    };
    echo("one");
    assert!(first.attack(&lab).killed() && second.attack(&lab).status.success());

    // What became of the policies when they were read again, by whomever it was asked for.
    let mut heard = 0;
    let mut reload = |outcome: &str, asked: &dyn Fn()| {
        asked();
        let tells =
            |said: &str| said.lines().filter(|line| event(line, "reload") != Value::Null).count();
        heard += 1;
        let said = agent.said(|said| tells(said) >= heard);
        let told = event(&said, "reload");
        assert_eq!((&told["outcome"], tells(&said)), (&outcome.into(), heard), "{told}");
        told
    };
    let hup = Pid::from_raw(agent_pid);
    let ask = || kill(hup, Signal::SIGHUP).unwrap();

    // One bad file among good ones: nothing changes.
    let refused = reload("refused", &|| {
        fs::write(policies.join("third.json"), "{\"sysfsm\": 1").unwrap();
        fs::copy(&second.policy, policies.join("second.json")).unwrap();
    });
    assert!(refused["error"].as_str().unwrap().contains("third.json"), "{refused}");
    let asked = pins.reload(&lab);
    assert_eq!(asked.status.code(), Some(2), "{}", asked.stdout);
    assert!(asked.stderr.contains("the reload failed"), "{}", asked.stderr);
    reload("refused", &|| ());
    echo("two");
    assert!(first.attack(&lab).killed() && second.attack(&lab).status.success());

    let changed = reload("changed", &|| fs::remove_file(policies.join("third.json")).unwrap());
    assert_eq!(changed["policy_count"], 2, "{changed}");
    echo("three");
    assert!(first.attack(&lab).killed() && second.attack(&lab).killed());
    assert!(first.lives(&lab) && second.lives(&lab));

    // One less.
    let changed = reload("changed", &|| fs::remove_file(policies.join("second.json")).unwrap());
    assert_eq!(changed["policy_count"], 1, "{changed}");
    echo("four");
    assert!(first.attack(&lab).killed() && second.attack(&lab).status.success());

    // The same policies, and another file at the path: it is bound before anybody is told of it.
    let newer = lab.copy(Path::new("/bin/dash"), "newer");
    fs::rename(newer, &first.binary).unwrap();
    assert!(first.attack(&lab).killed() && first.lives(&lab));
    reload("changed", &ask);
    echo("five");
    assert!(first.attack(&lab).killed() && first.lives(&lab));
    // Nothing has changed.
    reload("taken over", &ask);
    assert!(pins.reload(&lab).status.success());
    reload("taken over", &|| ());
    assert_eq!(fs::read_dir(&pins.0).unwrap().count(), 1, "all of it in the same set");
    let (_, status) = pins.status(&lab);
    assert_eq!(status["reloads"], serde_json::json!({"done": 7, "refused": 2}), "{status}");
}

#[test]
fn what_cannot_be_pinned_is_not_enforced() {
    let lab = Lab::new();
    let shell = Shell::new(&lab, "shell");
    let mut elsewhere = Command::new(binary());
    elsewhere.args(["enforce", "--at-most", "kill", "--pin", "--pins"]).arg(lab.path("pins"));
    let ended = lab.start(elsewhere.arg("--policy").arg(&shell.policy)).end();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains("no bpf file system"), "{}", ended.stderr);
    assert!(shell.attack(&lab).status.success());

    // A policy that cannot be enforced leaves what is enforced as it was.
    let pins = PinDirectory::new(&lab);
    drop(pins.agent(&lab, &shell.policy, &KILL, "pinned"));
    let missing =
        lab.with(&shell.policy, "binary", lab.path("nothing").display().to_string().into());
    let ended = lab.start(&mut pins.enforce(&missing, &["--at-most", "kill", "--pin"])).end();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stdout);
    assert!(shell.attack(&lab).killed() && shell.lives(&lab));
    assert_eq!(fs::read_dir(&pins.0).unwrap().count(), 1);
}
