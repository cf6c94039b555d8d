//! A program whose name speaks to the terminal: what is printed of it has no character that a
//! terminal obeys, in the events, at `review`, `record`, `status` and `top`; JSON has its whole name.

use nix::sys::signal::{kill, Signal};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;
use sysfsm_testing::pin_directory::{event, PinDirectory};

/// A name of a file, and so of its process: it clears the line, and turns the direction of writing.
const NAME: &str = "\r\u{1b}[2Kx\u{202e}\nforged";

const LAWFUL: &str = "read line; exit 0";
const OTHER: &str = "umask 022; read line; exit 0";

/// Asserts that a terminal prints all of it, and that no line of it is the program's.
#[track_caller]
fn harmless(text: &str) {
    let harmful = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(harmful), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("forged")), "{text:?}");
}

struct Scene {
    lab: Lab,
    shell: PathBuf,
    policy: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new();
        let shell = lab.copy(Path::new("/bin/dash"), NAME);
        let policy = lab.learn(&shell, &[(&["-c", LAWFUL], "go")]);
        Scene { lab, shell, policy }
    }

    /// Has the shell do what was not learned, while its mappings can be read.
    fn violate(&self) {
        let mut running = self.lab.start(Command::new(&self.shell).args(["-c", OTHER]));
        sleep(Duration::from_millis(300));
        running.say("go");
        running.end().well("the shell");
    }
}

#[test]
fn events_and_questions_about_a_program_do_not_speak_to_the_terminal() {
    let scene = Scene::new();
    let seen = scene.lab.path("seen.json");
    let options = ["--log-only", "--learn-to", seen.to_str().unwrap()];
    // For programs: the whole name.
    let enforcement = scene.lab.enforce(&[&scene.policy], &options);
    scene.violate();
    let report = enforcement.stop();
    let found = report.violations.first().expect("a violation");
    // The kernel keeps 15 bytes of a name.
    assert_eq!(found["comm"], String::from_utf8_lossy(&NAME.as_bytes()[..15]).as_ref());
    assert_eq!(found["policy"], scene.shell.to_str().unwrap());
    // For people.
    let mut command = Command::new(binary());
    command.args(["enforce", "--at-most", "kill"]).args(options).arg("--policy").arg(&scene.policy);
    let mut enforcement = scene.lab.start(&mut command);
    enforcement.complained(|text| text.contains("watching"));
    scene.violate();
    kill(enforcement.pid(), Signal::SIGTERM).unwrap();
    let ended = enforcement.end().well("enforce");
    harmless(&(ended.stdout.clone() + &ended.stderr));
    assert!(ended.stdout.contains(r"(\r\x1b[2Kx\u{202e}\nforge)"), "{}", ended.stdout);
    // What is asked about, with the module of its stack.
    let mut review = Command::new(binary());
    review.arg("review").arg(&seen).arg("--policy").arg(&scene.policy).arg("--list");
    let ended = scene.lab.start(&mut review).end();
    harmless(&(ended.stdout.clone() + &ended.stderr));
    assert!(ended.stdout.contains(r"/\r\x1b[2Kx\u{202e}\nforged"), "{}", ended.stdout);
    let file: Value = serde_json::from_slice(&fs::read(&seen).unwrap()).unwrap();
    let module = file["policies"][0]["violations"][0]["stack"].as_array().unwrap();
    // The kernel writes an end of a line so in /proc/PID/maps (fs/seq_file.c, mangle_path).
    let path = scene.shell.to_str().unwrap().replace('\n', "\\012");
    assert!(module.iter().any(|f| f["module"] == path.as_str()), "{module:?}");
}

#[test]
fn a_recording_of_a_program_does_not_speak_to_the_terminal() {
    let scene = Scene::new();
    let to = scene.lab.path("policy.json");
    let mut command = Command::new(binary());
    command.arg("record").arg("-o").arg(&to).arg("--").arg(&scene.shell).args(["-c", "exit 0"]);
    let ended = scene.lab.start(&mut command).end().well("record");
    harmless(&(ended.stdout + &ended.stderr));
    let policy: Value = serde_json::from_slice(&fs::read(&to).unwrap()).unwrap();
    assert_eq!(policy["binary"], scene.shell.to_str().unwrap());
}

#[test]
fn what_is_pinned_of_a_program_does_not_speak_to_the_terminal() {
    let scene = Scene::new();
    let lab = &scene.lab;
    let pins = PinDirectory::new(lab);
    let agent = pins.agent(lab, &scene.policy, &["--at-most", "kill"], "pinned");
    let mut running = lab.start(Command::new(&scene.shell).args(["-c", LAWFUL]));
    sleep(Duration::from_millis(300));
    let text = |subcommand: &str| {
        let mut command = Command::new(binary());
        let ended = lab.start(command.args([subcommand, "--pins"]).arg(&pins.0)).end();
        ended.stdout + &ended.stderr
    };
    let status = text("status");
    harmless(&status);
    assert!(status.contains(r"\r\x1b[2Kx\u{202e}\nforged"), "{status}");
    let mut once = Command::new(binary());
    once.args(["top", "--json", "--once", "--pins"]).arg(&pins.0);
    let top = lab.start(&mut once).end().stdout;
    harmless(&top);
    let process = &event(&top, "top")["processes"][0];
    assert_eq!(process["policy"], scene.shell.to_str().unwrap(), "{top}");
    // top draws by orders of its own: the program's clears a line, and turns the writing.
    let mut terminal = lab.start(
        Command::new("script")
            .arg("-qefc")
            .arg(format!("stty rows 24 cols 200; {} top --pins {}", binary(), pins.0.display()))
            .arg(lab.path("typescript")),
    );
    let drawn = terminal.said(|said| said.contains("forg"));
    terminal.say("q");
    terminal.end().well("top");
    assert!(drawn.contains(r"\r\x1b[2Kx\u{202e}\nforg"), "{drawn:?}");
    assert!(!drawn.contains('\u{202e}') && !drawn.contains("\u{1b}[2Kx"), "{drawn:?}");
    running.say("go");
    running.end().well("the shell");
    harmless(&text("stop"));
    agent.end();
}
