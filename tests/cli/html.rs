//! The page of `show --format html` in a real browser: it is drawn, readable, searchable, and its
//! console stays empty. What is looked at is in `tests/cli/probe.html`.

use serde_json::{json, Value};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use sysfsm::syscall::CallName;
use sysfsm_testing::binary;
use tempfile::TempDir;

const CLOSED: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// What a browser saw of a page, and what its console said.
struct Seen {
    report: Value,
    console: Vec<String>,
}

/// Opens the page of some policies in a window of `size`; `address` is what follows the size.
fn open(policies: &[&Path], size: &str, dark: bool, address: &str) -> Seen {
    let dir = TempDir::new().unwrap();
    let shown =
        Command::new(binary()).args(["show", "--format", "html"]).args(policies).output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    fs::write(dir.path().join("page.html"), shown.stdout).unwrap();
    fs::write(dir.path().join("probe.html"), include_str!("probe.html")).unwrap();
    let output = Command::new("timeout")
        .args(["--kill-after=5", "180", "chromium"])
        .args(CLOSED)
        // The probe may look into the page: both are files.
        .args(["--allow-file-access-from-files", "--enable-logging=stderr", "--v=0"])
        // What fades has faded at once: no measure is taken half-way.
        .arg("--force-prefers-reduced-motion")
        .args(["--virtual-time-budget=20000", "--dump-dom"])
        .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
        .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
        .arg(format!("file://{}/probe.html?size={size}{address}", dir.path().display()))
        .env("HOME", dir.path())
        .stdin(Stdio::null())
        .output()
        .expect("timeout runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(127), "no chromium: `make deps` installs it\n{stderr}");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = dom
        .split("<pre id=\"result\">")
        .nth(1)
        .and_then(|rest| rest.split("</pre>").next())
        .unwrap_or("");
    let result = result.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let report = serde_json::from_str(&result)
        .unwrap_or_else(|_| panic!("no report: {:?}\n{result}\n{stderr}", output.status));
    Seen {
        report,
        console: stderr
            .lines()
            .filter(|l| l.contains(":CONSOLE"))
            .map(ToString::to_string)
            .collect(),
    }
}

fn shipped(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(name)
}

/// How many transitions of a policy are such ones.
fn count(policy: &Value, such: impl Fn(&str, &str) -> bool) -> usize {
    let rows = policy["transitions"].as_object().unwrap();
    let all = rows
        .iter()
        .flat_map(|(from, row)| row.as_object().unwrap().keys().map(move |to| (from, to)));
    all.filter(|(from, to)| such(from, to)).count()
}

/// A policy of exactly 200 transitions between 64 states, handlers among them, under a name that
/// tries to get out.
fn synthetic() -> Value {
    let names: Vec<String> = (0..320).step_by(5).map(|n| CallName(n).to_string()).collect();
    let mut rows = json!({});
    let mut left = 200;
    for round in 0_usize.. {
        for (at, from) in names.iter().enumerate() {
            let to = &names[(at * 7 + round * 13 + 5) % names.len()];
            let unsuitable = [from, to]
                .iter()
                .any(|n| matches!(n.as_str(), "rt_sigreturn" | "exit" | "restart_syscall"));
            if left == 0 || from == to || unsuitable || !rows[from][to].is_null() {
                continue;
            }
            let from = if at == 20 { "@SIGUSR1" } else { from };
            let calls = 1_u64 << ((at * 5 + round * 11 + 3) % 23);
            if rows[from][to].is_null() {
                rows[from][to] = json!({"calls": calls, "runs": calls.min(9)});
                left -= 1;
            }
        }
        if left == 0 {
            break;
        }
    }
    json!({"sysfsm": 1, "binary": "/opt/\"'&</script><script>alert(1)</script>", "runs": 9, "transitions": rows})
}

/// What holds for every page, whatever its policy.
fn is_readable(seen: &Seen, transitions: usize, letters: f64) {
    let report = &seen.report;
    assert_eq!(seen.console, Vec::<String>::new());
    assert_eq!(report["edges"], transitions, "lines that are drawn");
    assert_eq!(report["cells"], transitions, "cells that are drawn");
    assert_eq!(report["overlaps"], 0, "labels that overlap");
    assert_eq!(report["cut"], 0, "corners of labels outside of the picture");
    assert_eq!(report["wider"], 0, "the page is wider than its window");
    assert!(
        report["letters"].as_f64().unwrap() >= letters,
        "letters {} pixels high",
        report["letters"]
    );
    assert!(report["contrast"].as_f64().unwrap() >= 4.5, "contrast {}", report["contrast"]);
    let marked = &report["marked"];
    for quiet in ["nothing", "escaped", "left"] {
        let state = &marked[quiet];
        let told = (&state["found"], &state["edges"], &state["faded"], &state["rows"]);
        assert_eq!(told, (&json!(""), &json!(0), &json!(0), &json!(transitions)), "{quiet}");
    }
    let none = &marked["none"];
    assert_eq!(
        (&none["found"], &none["faded"], &none["rows"]),
        (&json!("nothing matches"), &json!(transitions), &json!(0))
    );
    assert_eq!((&report["focus"], &report["reset"]), (&json!(1), &json!(1)));
    assert_eq!(marked["enter"]["nodes"].as_array().unwrap().len(), 1);
    assert!(report["zoomed"].as_f64().unwrap() < 0.8);
}

#[test]
fn a_real_policy_is_drawn_searched_and_told_in_light_and_dark_large_and_small() {
    let path = shipped("nginx.json");
    let policy: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let all = count(&policy, |_, _| true);
    let touching = count(&policy, |from, to| from.contains("openat") || to.contains("openat"));
    let pair = count(&policy, |from, to| from.contains("openat") && to.contains("read"));
    for (size, dark, letters) in [("1400x1000", false, 11.0), ("800x600", true, 8.0)] {
        let seen = open(&[&path], size, dark, "#state=openat");
        is_readable(&seen, all, letters);
        let ground = if dark { "rgb(21, 24, 29)" } else { "rgb(255, 255, 255)" };
        assert_eq!(seen.report["dark"], ground);
        let marked = &seen.report["marked"];
        for how in ["address", "openat", "hover", "click"] {
            let state = &marked[how];
            assert_eq!(state["nodes"], json!(["openat"]), "{how}");
            let drawn = (&state["edges"], &state["cells"], &state["strong"], &state["faded"]);
            assert_eq!(
                drawn,
                (&json!(touching), &json!(touching), &json!(touching), &json!(all - touching)),
                "{how}"
            );
            assert_eq!(state["listed"], touching, "{how}");
        }
        assert_eq!(marked["openat"]["found"], format!("1 state, {touching} transitions"));
        assert_eq!(marked["openat"]["rows"], touching);
        assert_eq!(
            (&marked["pair"]["edges"], &marked["pair"]["nodes"]),
            (&json!(pair), &json!([])),
            "what may read after openat"
        );
        assert!(marked["kind"]["nodes"].as_array().unwrap().contains(&json!("brk")));
        assert!(
            seen.report["told"].as_str().unwrap().starts_with("openat → "),
            "{}",
            seen.report["told"]
        );
    }
}

#[test]
fn two_hundred_transitions_and_a_hostile_name_are_one_readable_page() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("synthetic.json");
    fs::write(&path, synthetic().to_string()).unwrap();
    // Of several policies one is shown, and the address chooses it.
    let seen =
        open(&[&shipped("cat.json"), &path], "1400x1000", false, "#policy=2&search=%40SIGUSR1");
    is_readable(&seen, 200, 10.5);
    assert_eq!(seen.report["marked"]["address"]["nodes"], json!(["@SIGUSR1"]));
}

#[test]
fn a_context_of_depth_three_is_a_state_of_the_picture() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("deep.json");
    let mut log = String::new();
    for (at, call) in
        ["execve", "brk", "mmap", "openat", "read", "openat", "close", "openat", "exit_group"]
            .iter()
            .enumerate()
    {
        let _ = writeln!(log, "{call}({at}) = {}", if *call == "exit_group" { "?" } else { "0" });
    }
    fs::write(
        dir.path().join("log"),
        log.replacen("execve(0)", "execve(\"/bin/x\", [\"x\"], 0x1)", 1),
    )
    .unwrap();
    let extracted = Command::new(binary())
        .args(["extract", "--depth", "3", "-o", "deep.json", "log"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(extracted.status.success(), "{}", String::from_utf8_lossy(&extracted.stderr));
    let seen = open(&[&path], "1400x1000", false, "#state=read%20openat");
    is_readable(&seen, 8, 11.0);
    assert_eq!(seen.report["marked"]["address"]["nodes"], json!(["read openat"]));
    assert_eq!(seen.report["marked"]["openat"]["nodes"].as_array().unwrap().len(), 6);
}

#[test]
fn no_other_script_runs_in_a_page_and_the_console_would_tell() {
    let seen = open(&[&shipped("cat.json")], "800x600", false, "&intrude=1");
    assert_eq!(seen.report, json!({"intruded": false}));
    assert!(
        seen.console.iter().any(|line| line.contains("Content Security Policy")),
        "{:?}",
        seen.console
    );
}
