//! Policies are replaced under running programs: no call goes unjudged, no thread loses its
//! context, nobody lawful is hurt.

use libbpf_rs::skel::{OpenSkel as _, Skel as _, SkelBuilder as _};
use nix::sys::signal::{kill, Signal};
use serde_json::Value;
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::scope;
use sysfsm_testing::bpf::count_test;
use sysfsm_testing::lab::{Lab, Running};
use sysfsm_testing::pin_directory::{event, PinDirectory};
use sysfsm_testing::shell::Ends;

/// A server that opens files, handles signals and makes children, as often as it can for each line
/// that it reads.
const SERVER: &str = "
    trap : USR1
    while read line; do
        turn=0
        while [ $turn -lt 50 ]; do echo $turn >/dev/null; kill -USR1 $$; turn=$((turn + 1)); done
        (:)
        echo \"$line\"
    done";

/// A server that echoes lines, until a line has it do something else.
const TAKEN_OVER: &str = "
    trap : USR1
    while read line; do [ \"$line\" != attack ] || exec /bin/true; echo \"$line\"; done";

/// The agent's answer to the next reload, which is asked for by a signal.
fn reload(agent: &mut Running, before: usize) -> Value {
    let tells =
        |said: &str| said.lines().filter(|line| event(line, "reload") != Value::Null).count();
    kill(agent.pid(), Signal::SIGHUP).unwrap();
    let said = agent.said(|said| tells(said) > before);
    event(&said, "reload")
}

/// Policies of the server that it can live with: of two depths, and one with more in it.
fn policies(lab: &Lab, shell: &Path) -> Vec<PathBuf> {
    let learn = |depth: &str, more: &[(&[&str], &str)]| {
        let server: &[&str] = &["-c", SERVER];
        let taken_over: &[&str] = &["-c", TAKEN_OVER];
        let runs = [&[(server, "a\nb\nc"), (server, "a"), (taken_over, "a\nb")], more].concat();
        lab.learn_at(depth, shell, &runs)
    };
    let more: &[&str] = &["-c", "umask; pwd; read line"];
    vec![
        learn("2", &[]),
        learn("2", &[(more, "a")]),
        learn("3", &[]),
        learn("1", &[]),
        learn("3", &[(more, "a")]),
    ]
}

#[test]
fn a_thousand_reloads_leave_no_call_unjudged() {
    // In the guests of tests/vm each takes long.
    let times = std::env::var("TIMES").map_or(1000, |times| times.parse::<usize>().unwrap());
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = lab.copy(Path::new("/bin/dash"), "shell");
    let policies = policies(&lab, &shell);
    let texts: Vec<Vec<u8>> = policies.iter().map(|policy| fs::read(policy).unwrap()).collect();

    // Counts apart from what judges.
    let mut object = MaybeUninit::uninit();
    let open = count_test::CountTestSkelBuilder::default().open(&mut object).unwrap();
    let mut apart = open.load().unwrap();
    apart.maps.bss_data.as_mut().unwrap().inode = fs::metadata(&shell).unwrap().ino();
    apart.attach().unwrap();

    let policy = lab.path("policy.json");
    fs::write(&policy, &texts[0]).unwrap();
    let mut agent = pins.agent(&lab, &policy, &["--at-most", "kill"], "pinned");
    let (over, attacks, lines) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    scope(|scope| {
        scope.spawn(|| {
            let mut server = lab.start(Command::new(&shell).args(["-c", SERVER]));
            while !over.load(Ordering::Relaxed) {
                let line = format!("line {}\n", lines.fetch_add(1, Ordering::Relaxed));
                server.say(line.trim_end());
                assert!(
                    server.said(|said| said.ends_with(&line)).ends_with(&line),
                    "the server was hurt"
                );
            }
            server.end().well("the server");
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // One that is there while policies are replaced.
                let mut victim = lab.start(Command::new(&shell).args(["-c", TAKEN_OVER]));
                victim.say("one");
                assert_eq!(
                    victim.said(|said| said.ends_with('\n')),
                    "one\n",
                    "a lawful process was hurt"
                );
                victim.say("attack");
                assert!(victim.end().killed(), "attack {attacks:?} was not stopped");
                attacks.fetch_add(1, Ordering::Relaxed);
            }
        });
        let ends = Ends(&over);
        for turn in 0..times {
            let bad = turn % 10 == 9;
            let text = &texts[(turn + 1 - turn / 10) % texts.len()];
            fs::write(&policy, if bad { &text[..text.len() / 2] } else { text }).unwrap();
            let told = reload(&mut agent, turn);
            let outcome = if bad { "refused" } else { "changed" };
            assert_eq!(told["outcome"], outcome, "reload {turn}: {told}");
        }
        drop(ends);
    });

    let (_, status) = pins.status(&lab);
    let counted = apart.maps.bss_data.as_ref().unwrap().counted;
    let (attacks, lines) = (attacks.into_inner(), lines.into_inner());
    let judged = status["totals"]["judged"].as_u64().unwrap();
    eprintln!("{times} reloads: {judged} calls judged of {counted}, {attacks} attacks stopped, {lines} lines served");
    assert_eq!(judged, counted, "calls went unjudged");
    assert!(attacks > times / 20 && lines > times / 20 && counted > 1000 * lines as u64 / 2);
    assert_eq!(status["totals"]["violations"], attacks, "somebody lawful was hurt: {status}");
    assert_eq!(status["totals"]["kills"], attacks, "{status}");
    assert_eq!(
        status["reloads"],
        serde_json::json!({"done": times, "refused": times / 10}),
        "{status}"
    );
    // All of it in the first set, which has not grown.
    assert_eq!(fs::read_dir(&pins.0).unwrap().count(), 1);
    assert!(status["draining_policies"].as_u64().unwrap() < 10, "{status}");
}

#[test]
fn threads_keep_their_context_over_a_reload() {
    const LAWFUL: &str = "umask; read x; echo \"$x\"; read y; :";
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = lab.copy(Path::new("/bin/dash"), "shell");
    let learned = lab.learn(&shell, &[(&["-c", LAWFUL], "a")]);
    let more = lab.learn(&shell, &[(&["-c", LAWFUL], "a"), (&["-c", "pwd; read x"], "a")]);
    let policy = lab.path("policy.json");
    fs::copy(&learned, &policy).unwrap();
    let mut agent = pins.agent(&lab, &policy, &["--at-most", "kill"], "pinned");
    // Each waits for its line. `umask` is a call of the program's, and not one that may follow
    // here.
    let start = |script: &str| {
        let mut running = lab.start(Command::new(&shell).args(["-c", script]));
        running.said(|said| said.contains('\n'));
        running
    };
    let mut lawful = start(LAWFUL);
    let mut attacker = start("umask; read x; umask");
    fs::copy(&more, &policy).unwrap();
    assert_eq!(reload(&mut agent, 0)["outcome"], "changed");
    lawful.say("a");
    attacker.say("a");
    assert!(attacker.end().killed(), "its context was lost");
    lawful.end().well("a lawful process");

    // A policy that is gone lets its threads go; when it is back they are adopted.
    let other = lab.copy(Path::new("/bin/dash"), "other");
    let of_other = lab.with(&learned, "binary", other.to_str().unwrap().into());
    let mut attacker = start("umask; read x; umask; read y; exec /bin/true");
    fs::copy(&of_other, &policy).unwrap();
    assert_eq!(reload(&mut agent, 1)["outcome"], "changed");
    attacker.say("a");
    attacker.said(|said| said.matches('\n').count() == 2);
    fs::copy(&learned, &policy).unwrap();
    let told = reload(&mut agent, 2);
    let why = agent.stderr();
    assert_eq!(
        (&told["outcome"], &told["adopted"]),
        (&"changed".into(), &1.into()),
        "{told} {why}"
    );
    attacker.say("b");
    assert!(attacker.end().killed(), "it was not adopted");
}
