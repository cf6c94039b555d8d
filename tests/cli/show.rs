//! `show`: each format goes to stdout whole, and Graphviz takes what is meant for it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use sysfsm_testing::command::{sysfsm, text};
use tempfile::TempDir;

/// A policy with a handler, under a name with everything that a string may stumble over.
const HOSTILE: &str = r#"{"sysfsm": 1, "binary": "/opt/a\"b\\n&lt;<script>\n\\", "transitions": {
    "execve": {"brk": {"calls": 7, "runs": 2}}, "brk": {"exit_group": {"calls": 2, "runs": 2}},
    "@SIGUSR1": {"write": {"calls": 1, "runs": 1}}}}"#;

fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("hostile.json"), HOSTILE).unwrap();
    fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/redis-server.json"),
        dir.path().join("redis.json"),
    )
    .unwrap();
    dir
}

#[test]
fn every_format_begins_and_ends_as_its_files_do_and_is_the_same_twice() {
    let dir = folder();
    for (format, begins, ends) in [
        ("text", "binary       /usr/bin/redis-server\n", " runs\n"),
        ("json", "{\"action\":\"kill\",", "}\n"),
        ("dot", "digraph \"/usr/bin/redis-server\" {\n", "}\n"),
        ("svg", "<svg xmlns=", "</svg>\n"),
        ("html", "<!DOCTYPE html>\n", "</html>\n"),
    ] {
        let output = sysfsm(dir.path(), &["show", "--format", format, "redis.json"]);
        // Beside data goes how complete the policy is.
        let said = text(&output.stderr).replace(|c: char| format == "json" && c != '\n', "");
        assert_eq!((output.status.code(), said.trim_end()), (Some(0), ""), "{format}");
        let stdout = text(&output.stdout);
        assert!(stdout.starts_with(begins) && stdout.ends_with(ends), "{format}: {stdout:.99}");
        assert_eq!(
            stdout,
            text(&sysfsm(dir.path(), &["show", "--format", format, "redis.json"]).stdout),
            "{format}"
        );
    }
}

#[test]
fn a_picture_is_of_one_policy() {
    let dir = folder();
    let output = sysfsm(dir.path(), &["show", "--format", "svg", "redis.json", "hostile.json"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert!(
        stderr.starts_with("error: 2 policies for `--format svg`") && stderr.contains("\nhint: "),
        "{stderr}"
    );
    for format in ["text", "json", "dot", "html"] {
        let output =
            sysfsm(dir.path(), &["show", "--format", format, "redis.json", "hostile.json"]);
        assert_eq!(output.status.code(), Some(0), "{format}");
    }
}

#[test]
fn graphviz_reads_the_graphs_and_shows_the_names_as_they_are() {
    let dir = folder();
    let graphs = sysfsm(dir.path(), &["show", "--format", "dot", "redis.json", "hostile.json"]);
    let mut graphviz = Command::new("dot")
        .arg("-Tplain")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("no Graphviz: `make deps` installs it");
    graphviz.stdin.take().unwrap().write_all(&graphs.stdout).unwrap();
    let output = graphviz.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    let plain = text(&output.stdout);
    let edges = plain.lines().filter(|line| line.starts_with("edge ")).count();
    let redis: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("redis.json")).unwrap()).unwrap();
    let rows = redis.get("transitions").and_then(|t| t.as_object()).unwrap();
    let transitions: usize = rows.values().map(|row| row.as_object().unwrap().len()).sum();
    assert_eq!(edges, transitions + 3);

    let hostile = sysfsm(dir.path(), &["show", "--format", "dot", "hostile.json"]);
    fs::write(dir.path().join("hostile.dot"), hostile.stdout).unwrap();
    let output = Command::new("dot")
        .args(["-Tsvg", "hostile.dot"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let drawn = text(&output.stdout);
    let name = "/opt/a&quot;b\\\\n&amp;lt;&lt;script&gt;\\n\\\\</text>";
    assert!(drawn.contains(name), "{name} in {drawn}");
}
