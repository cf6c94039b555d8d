//! Metrics: that whoever asks is told what is so, in a format that its reader takes, and that
//! nobody else can ask, or hinder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
// Counts are written as floating point numbers, and are whole all the same.
#![allow(clippy::float_cmp)]

use nix::sys::signal::{kill, Signal};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use sysfsm_testing::lab::{Ended, Lab, Running};
use sysfsm_testing::pin_directory::{event, PinDirectory};
use sysfsm_testing::shell::Shell;

/// What a scrape tells, by name and labels as they are written. Every line is one of the format's.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Reads the text format, version 0.0.4, and nothing that is not of it.
    fn read(text: &str) -> Self {
        let mut samples = BTreeMap::new();
        let mut kinds = BTreeMap::new();
        assert!(text.ends_with('\n'), "the last line has no end");
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect(line);
                assert!(is_name(name) && !text.is_empty(), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect(line);
                assert!(["counter", "gauge"].contains(&kind), "{line}");
                assert!(
                    kinds.insert(name.to_string(), kind.to_string()).is_none(),
                    "twice: {line}"
                );
            } else {
                let end = series(line);
                let (series, value) = line.split_at(end);
                let name = series.split('{').next().unwrap();
                let kind = kinds.get(name).unwrap_or_else(|| panic!("no type before: {line}"));
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                let value: f64 = value.strip_prefix(' ').and_then(|v| v.parse().ok()).expect(line);
                assert!(samples.insert(series.to_string(), value).is_none(), "twice: {line}");
            }
        }
        Scrape(samples)
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.0))
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with("sysfsm_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Where a series ends: `name{label="value",…}`.
fn series(line: &str) -> usize {
    let name = line.find(['{', ' ']).expect(line);
    assert!(is_name(&line[..name]), "{line}");
    let mut at = name;
    if !line[at..].starts_with('{') {
        return at;
    }
    loop {
        at += 1;
        let label = at + line[at..].find("=\"").expect(line);
        assert!(line[at..label].bytes().all(|b| b.is_ascii_lowercase()) && label > at, "{line}");
        at = label + 2;
        while !line[at..].starts_with('"') {
            if line[at..].starts_with('\\') {
                at += 1;
                assert!(line[at..].starts_with(['\\', '"', 'n']), "{line}");
            }
            at += line[at..].chars().next().expect(line).len_utf8();
        }
        at += 1;
        if line[at..].starts_with('}') {
            return at + 1;
        }
        assert!(line[at..].starts_with(','), "{line}");
    }
}

/// Asks as an administrator would.
fn curl(lab: &Lab, arguments: &[&str]) -> Ended {
    lab.start(
        Command::new("curl").args(["--silent", "--show-error", "--max-time", "60"]).args(arguments),
    )
    .end()
}

/// An agent that serves metrics.
fn agent(lab: &Lab, pins: &PinDirectory, policy: &Path, address: &str, pinned: &str) -> Running {
    pins.agent(lab, policy, &["--at-most", "kill", "--metrics", address], pinned)
}

#[test]
fn a_scrape_of_a_socket_tells_what_is_so() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let socket = lab.path("metrics.sock");
    // As an agent leaves it that was killed.
    drop(UnixListener::bind(&socket).unwrap());
    let mut agent =
        agent(&lab, &pins, &shell.policy, &format!("unix:{}", socket.display()), "pinned");
    let metadata = fs::metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    let path = socket.to_str().unwrap();
    let scrape = || {
        let ended =
            curl(&lab, &["--fail", "--unix-socket", path, "http://sysfsm/metrics"]).well("curl");
        Scrape::read(&ended.stdout)
    };
    let name = shell.binary.to_str().unwrap();
    let found = |reason: &str| {
        format!("sysfsm_violations_total{{policy=\"{name}\",cgroup=\"\",reason=\"{reason}\"}}")
    };
    let under = |what: &str| format!("sysfsm_watched_{what}{{policy=\"{name}\",cgroup=\"\"}}");

    let mut server = shell.serve(&lab);
    server.say("one");
    server.said(|said| said.contains("one"));
    let first = scrape();
    assert_eq!(first.value("sysfsm_enforcement_level{level=\"kill\"}"), 1.0);
    assert_eq!(
        first.value(&format!("sysfsm_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))),
        1.0
    );
    assert_eq!(first.value("sysfsm_policies"), 1.0);
    assert_eq!(first.value(&under("processes")), 1.0);
    assert_eq!(first.value(&under("threads")), 1.0);
    assert!(first.value("sysfsm_judged_calls_total") > 0.0);
    // It is told of before there is one.
    assert_eq!(first.value(&found("transition")), 0.0);
    let since = first.value("sysfsm_enforced_since_seconds");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - 600.0..now).contains(&since), "{since}");
    for map in ["cells", "policies", "binaries", "selected"] {
        let entries = first.value(&format!("sysfsm_map_entries{{map=\"{map}\"}}"));
        let room = first.value(&format!("sysfsm_map_max_entries{{map=\"{map}\"}}"));
        assert!(0.0 < entries && entries <= room, "{map}: {entries} of {room}");
    }
    assert!(first.value("sysfsm_ring_buffer_bytes") < first.value("sysfsm_ring_buffer_max_bytes"));

    assert!(shell.attack(&lab).killed());
    agent.said(|said| said.contains("\"event\":\"violation\""));
    assert!(pins.reload(&lab).status.success());
    fs::write(&shell.policy, "{}").unwrap();
    assert_eq!(pins.reload(&lab).status.code(), Some(2));
    // Figures are told again for a second.
    sleep(Duration::from_millis(1100));
    let second = scrape();
    assert_eq!(second.value(&found("transition")), 1.0);
    for (series, value) in [
        ("sysfsm_kernel_violations_total", 1.0),
        ("sysfsm_kills_total", 1.0),
        ("sysfsm_denials_total", 0.0),
        ("sysfsm_events_lost_total", 0.0),
        ("sysfsm_reloads_total{outcome=\"done\"}", 1.0),
        ("sysfsm_reloads_total{outcome=\"refused\"}", 1.0),
    ] {
        assert_eq!(second.value(series), value, "{series}");
    }
    kill(agent.pid(), Signal::SIGTERM).unwrap();
    agent.end().well("the agent");
    assert!(!socket.exists(), "it is there, and nobody listens");
}

#[test]
fn a_port_of_this_machine_serves_as_well() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    for (turn, host) in ["127.0.0.1", "[::1]"].into_iter().enumerate() {
        // Free a moment ago.
        let Ok(free) = TcpListener::bind(format!("{host}:0")) else { continue };
        let address = format!("{host}:{}", free.local_addr().unwrap().port());
        drop(free);
        let agent = agent(&lab, &pins, &shell.policy, &address, ["pinned", "taken over"][turn]);
        let url = format!("http://{address}/metrics");
        let said = curl(&lab, &["--fail", "--include", "--globoff", &url]).well("curl").stdout;
        let (head, text) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
        assert_eq!(Scrape::read(text).value("sysfsm_policies"), 1.0);
        let other = curl(
            &lab,
            &["--globoff", "--write-out", "%{http_code}", &format!("http://{address}/")],
        );
        assert!(other.stdout.ends_with("404"), "{}", other.stdout);
        let post = curl(&lab, &["--globoff", "--write-out", "%{http_code}", "--data", "x", &url]);
        assert!(post.stdout.ends_with("405"), "{}", post.stdout);
        kill(agent.pid(), Signal::SIGTERM).unwrap();
        agent.end().well("the agent");
    }
}

#[test]
fn who_never_ends_a_question_delays_neither_the_agent_nor_a_scrape() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let socket = lab.path("metrics.sock");
    let mut agent =
        agent(&lab, &pins, &shell.policy, &format!("unix:{}", socket.display()), "pinned");
    let slow: Vec<UnixStream> = (0..7)
        .map(|_| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nA: ").unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    assert!(shell.attack(&lab).killed());
    agent.said(|said| said.contains("\"event\":\"violation\""));
    let url = ["--fail", "--unix-socket", socket.to_str().unwrap(), "http://sysfsm/metrics"];
    Scrape::read(&curl(&lab, &url).well("curl").stdout);
    // They are sent away after five seconds.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(slow);
}

#[test]
fn what_others_could_reach_is_not_served() {
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let shell = Shell::new(&lab, "shell");
    let refused = |address: &str, options: &[&str], why: &str| {
        let mut command = pins.enforce(&shell.policy, options);
        let ended = lab.start(command.args(["--metrics", address])).end();
        assert_eq!(ended.status.code(), Some(2), "{address}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{address}: {}", ended.stderr);
        assert!(event(&ended.stdout, "start").is_null(), "{}", ended.stdout);
    };
    for address in ["0.0.0.0:9999", "[::]:9999", "192.0.2.1:9999"] {
        refused(address, &["--pin"], "only loopback addresses are served");
    }
    refused("localhost:9999", &["--pin"], "no address");
    refused("127.0.0.1:9999", &["--detach"], "--detach");
    refused("127.0.0.1:9999", &[], "--pin");
    let file = lab.path("precious");
    fs::write(&file, "x").unwrap();
    refused(&format!("unix:{}", file.display()), &["--pin"], "no socket");
    assert_eq!(fs::read(&file).unwrap(), b"x");
    assert_eq!(pins.status(&lab).0, Some(1), "nothing is to be enforced by one who was refused");
}
