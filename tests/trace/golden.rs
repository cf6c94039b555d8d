//! Golden logs: one directory a rule of the design, its log in the shape that strace writes, and
//! what a reader that shares no code with sysfsm learned from it, at four depths.
//!
//! `tests/trace/golden/RULE/trace.log` (or `trace.PID`, as `strace -ff` writes them) and
//! `tests/trace/golden/RULE/expected.json`: `{"depths": {"2": {BINARY: {"runs": …, "transitions": …}}},
//! "binary": "of a log that starts in the middle", "check": 1 where the log itself breaks the
//! policy that it teaches}`.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use sysfsm_testing::binary;

use serde_json::Value;
use tempfile::TempDir;

/// A log and what is to be learned from it.
struct Case {
    name: String,
    traces: Vec<PathBuf>,
    expected: Value,
}

/// The style that leaves a log as it is.
const AS_IT_IS: &str = "as it is";

/// A way in which strace may print the line (PID, BODY) of a log.
type Style = fn(&str, &str, usize) -> String;

/// The columns that options of strace put before a line. None of them may change what is learned.
const STYLES: [(&str, Style); 9] = [
    ("-t", |pid, body, _| format!("{pid:<5} 10:00:00 {body}")),
    ("-tt", |pid, body, n| format!("{pid:<5} 10:00:00.{n:06} {body}")),
    ("-ttt", |pid, body, n| format!("{pid:<5} 1795000000.{n:06} {body}")),
    ("-r", |pid, body, n| format!("{pid:<5}      0.{n:06} {body}")),
    ("-t -r", |pid, body, n| format!("{pid:<5} 10:00:00 (+     0.{n:06}) {body}")),
    ("-n -i", |pid, body, n| format!("{pid:<5} [{n:4}] [00007f61a2d7d050] {body}")),
    ("-Y", |pid, body, _| format!("{pid}<a demo> {body}")),
    ("stderr", |pid, body, _| format!("[pid {pid:>5}] {body}")),
    ("stderr, all", |pid, body, n| {
        format!("[pid {pid:>5}<demo>] 10:00:00.{n:06} (+     0.000010) [{n:4}] [00007f61a2d7d050] {body}")
    }),
];

/// Every directory of `tests/trace/golden`, in order.
fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trace/golden");
    let mut directories = entries(&root);
    directories.retain(|path| path.is_dir());
    assert!(!directories.is_empty(), "no golden logs in {}", root.display());
    directories.into_iter().map(|directory| Case::read(&directory)).collect()
}

/// The entries of a directory, in order.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

impl Case {
    fn read(directory: &Path) -> Self {
        let mut traces = entries(directory);
        traces.retain(|path| path.file_stem().is_some_and(|stem| stem == "trace"));
        assert!(!traces.is_empty(), "no trace in {}", directory.display());
        let text = fs::read_to_string(directory.join("expected.json")).expect("expected.json");
        Self {
            name: directory.file_name().unwrap().to_string_lossy().into_owned(),
            traces,
            expected: serde_json::from_str(&text).expect("expected.json"),
        }
    }

    /// The lines (PID, BODY), if there is one log and each of its lines begins with a PID column.
    fn lines(&self) -> Option<Vec<(String, String)>> {
        let [trace] = self.traces.as_slice() else { return None };
        let text = fs::read_to_string(trace).unwrap();
        text.lines()
            .map(|line| {
                let (pid, body) = line.split_once(' ')?;
                pid.parse::<u32>().ok()?;
                Some((pid.to_owned(), body.trim_start().to_owned()))
            })
            .collect()
    }

    fn depths(&self) -> Vec<&str> {
        let depths = self.expected["depths"].as_object().expect("depths");
        assert!(!depths.is_empty(), "{}: no depths", self.name);
        depths.keys().map(String::as_str).collect()
    }

    /// What is wrong with the policies that these traces teach at these depths. For the log as it
    /// is, also what is wrong with its replay.
    fn faults(&self, style: &str, traces: &[PathBuf], depths: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        for depth in depths {
            let expected = &self.expected["depths"][depth];
            let policies = TempDir::new().unwrap();
            let mut extract = sysfsm("extract", traces);
            extract
                .arg("-o")
                .arg(format!("{}/", policies.path().display()))
                .args(["--depth", depth]);
            if let Some(binary) = self.expected["binary"].as_str() {
                extract.args(["--binary", binary]);
            }
            let place = format!("{} ({style}, depth {depth})", self.name);
            let output = extract.output().unwrap();
            if output.status.code() != Some(0) {
                faults.push(format!("{place}: extract: {}", said(&output)));
                continue;
            }
            let differences = differences(expected, &learned(policies.path()));
            faults
                .extend(differences.into_iter().map(|difference| format!("{place}: {difference}")));
            if style == AS_IT_IS {
                faults.extend(self.replay_fault(&place, traces, policies.path()));
            }
        }
        faults
    }

    /// What is wrong with the replay of the traces against the policies that they taught.
    fn replay_fault(&self, place: &str, traces: &[PathBuf], policies: &Path) -> Option<String> {
        let output = sysfsm("check", traces).arg("--policy").arg(policies).output().unwrap();
        let code = self.expected["check"].as_i64().unwrap_or(0);
        (output.status.code().map(i64::from) != Some(code))
            .then(|| format!("{place}: check: {}", said(&output)))
    }
}

fn sysfsm(subcommand: &str, traces: &[PathBuf]) -> Command {
    let mut command = Command::new(binary());
    command.arg(subcommand).args(traces);
    command
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    format!("{}, {}", output.status, String::from_utf8_lossy(&text).trim_end())
}

/// The policies of a directory, in the form of `expected.json`.
fn learned(directory: &Path) -> Value {
    let policies = entries(directory).into_iter().map(|path| {
        let mut policy: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let binary = policy["binary"].as_str().expect("binary").to_owned();
        (
            binary,
            serde_json::json!({ "runs": policy["runs"].take(), "transitions": policy["transitions"].take() }),
        )
    });
    Value::Object(policies.collect())
}

/// Where two results differ: by binary, context and symbol.
fn differences(expected: &Value, learned: &Value) -> Vec<String> {
    let (expected, learned) = (leaves(expected), leaves(learned));
    let places: BTreeSet<_> = expected.keys().chain(learned.keys()).collect();
    let count = |side: &BTreeMap<String, Value>, place| {
        side.get(place).map_or("nothing".to_owned(), Value::to_string)
    };
    places
        .into_iter()
        .filter(|&place| expected.get(place) != learned.get(place))
        .map(|place| {
            format!("{place}: expected {}, got {}", count(&expected, place), count(&learned, place))
        })
        .collect()
}

/// The numbers of a result, by place: `binary: runs`, or binary, context and symbol.
fn leaves(result: &Value) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    for (binary, policy) in result.as_object().expect("binaries") {
        leaves.insert(format!("{binary}: runs"), policy["runs"].clone());
        for (context, symbols) in policy["transitions"].as_object().expect("transitions") {
            for (symbol, counts) in symbols.as_object().expect("symbols") {
                leaves.insert(format!("{binary}: `{context}` → `{symbol}`"), counts.clone());
            }
        }
    }
    leaves
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn each_golden_log_teaches_exactly_what_is_expected_and_passes_its_own_check() {
    let faults: Vec<_> = cases()
        .iter()
        .flat_map(|case| case.faults(AS_IT_IS, &case.traces, &case.depths()))
        .collect();
    assert_none(&faults);
}

#[test]
fn the_columns_that_options_of_strace_add_change_nothing() {
    let mut styled = 0;
    let mut faults = Vec::new();
    for case in cases() {
        let Some(lines) = case.lines() else { continue };
        for (style, print) in STYLES {
            let directory = TempDir::new().unwrap();
            let trace = directory.path().join("trace.log");
            let text: String = lines
                .iter()
                .enumerate()
                .map(|(n, (pid, body))| print(pid, body, n) + "\n")
                .collect();
            fs::write(&trace, text).unwrap();
            faults.extend(case.faults(style, &[trace], &["3"]));
            styled += 1;
        }
    }
    assert!(styled > 0, "no golden log begins its lines with a PID");
    assert_none(&faults);
}

#[test]
fn a_family_of_files_teaches_what_its_one_log_teaches() {
    let cases = cases();
    let of = |name: &str| &cases.iter().find(|case| case.name == name).expect("a case").expected;
    for (one, files) in [
        ("family-as-one-log", "family-as-files"),
        ("non-leader-exec-pid-changed", "non-leader-exec-as-files"),
    ] {
        assert_eq!(of(one), of(files), "{one} and {files}");
    }
}
