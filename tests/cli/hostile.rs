//! Text of others on a terminal: names of files, programs and cgroups, what a log, a policy, an
//! event or a review log holds. Whatever it is, no command prints a character that a terminal obeys
//! or that nobody sees; JSON has the whole text.

use serde_json::{json, Value};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use sysfsm_fixtures::random::{seed, Random};
use sysfsm_testing::binary;
use tempfile::TempDir;

/// Texts that do harm where they are printed as they are. None has a slash or a zero byte: each is
/// a file name, too.
const BATTERY: [&[u8]; 10] = [
    b"\r\x1b[2Kx killed\n",
    b"\x1b]0;title\x07\x1b]52;c;cm0gLXJm\x07",
    b"a\x7f\x08\x08b\x0b\x0c\x00d",
    b"\xc2\x9b31mred\xc2\x9d0;x\xc2\x9c",
    "user\u{202e}fdp.exe\u{2066}\u{2069}".as_bytes(),
    "a\u{200b}b\u{200d}c\u{feff}d\u{2028}e\u{2029}f\u{ad}".as_bytes(),
    "tag\u{e0041}\u{e007f}\u{fe0f}\u{301}".as_bytes(),
    b"\xff\xfe\x9b31m\xc2",
    b"end\nforged: killed",
    b"back\\slash `error: no` \\x1b[31m",
];

/// What no command may print.
fn harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A folder with files of all kinds that are called, and that say, what others like.
struct Scene {
    dir: TempDir,
    /// The text, in files.
    text: String,
    /// The ends of the files' names.
    name: OsString,
}

impl Scene {
    fn new(hostile: &[u8]) -> Self {
        let hostile: Vec<u8> = hostile.iter().copied().filter(|b| ![0, b'/'].contains(b)).collect();
        let text = String::from_utf8_lossy(&hostile).into_owned();
        let name = OsString::from_vec(hostile.iter().copied().take(100).collect());
        let scene = Scene { dir: TempDir::new().unwrap(), text, name };
        let binary = format!("/opt/{}x", scene.text);
        let policy = |more: Value| {
            let mut policy = json!({"sysfsm": 1, "binary": binary,
                "transitions": {"execve": {"brk": {"calls": 2, "runs": 1}}}});
            policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            policy.to_string()
        };
        scene.write("policy", policy(json!({})).as_bytes());
        scene.write("cgroup", policy(json!({"cgroup": format!("/a/{}", scene.text)})).as_bytes());
        scene.write("other", policy(json!({"depth": 3, "action": "log"})).as_bytes());
        let t = &scene.text;
        for (index, wrong) in [
            json!({t: 1}),
            json!({"depth": t}),
            json!({"action": t}),
            json!({"cgroup": t}),
            json!({"sysfsm": t}),
            json!({"binary": format!("{t}/")}),
            json!({"transitions": {t: ["brk"]}}),
            json!({"transitions": {"execve": [t, t]}}),
            json!({"transitions": {"execve": {t: {t: 1}}}}),
        ]
        .into_iter()
        .enumerate()
        {
            scene.write(&format!("wrong{index}"), policy(wrong).as_bytes());
        }
        // strace escapes what it prints; who forges a log does not.
        let quoted = hostile.iter().filter(|b| !b"\"\\\n".contains(b)).copied();
        let mut log = b"execve(\"/opt/".to_vec();
        log.extend(quoted);
        log.extend(b"x\", [\"x\"], 0x7ffd /* 8 vars */) = 0\nbrk(NULL) = 0x55\n");
        for line in ["X(1, 2) = 0", "syscall_X(0) = ?", "7 X(1", "strace: X", "--- SIGX {X} ---"] {
            for part in line.split_inclusive('X') {
                log.extend(part.trim_end_matches('X').as_bytes());
                if part.ends_with('X') {
                    log.extend(hostile.iter().filter(|b| **b != b'\n'));
                }
            }
            log.push(b'\n');
        }
        log.extend(b"socket(AF_INET, SOCK_STREAM, 0) = 3\n+++ exited with 0 +++\n");
        scene.write("log", &log);
        let violation = json!({"event": "violation", "id": t, "time": t, "reason": "transition",
            "action": "log", "policy": binary, "pid": 4, "tid": 5, "comm": t, "context": ["execve"],
            "symbol": "socket", "args": [t, "0x2"], "ip": t, "file": t, "line": 3});
        let mut foreign = violation.clone();
        foreign["reason"] = json!("abi");
        foreign["symbol"] = json!(t);
        foreign["call"] = json!(t);
        let mut unknown = violation.clone();
        unknown["symbol"] = json!(t);
        let mut mood = violation.clone();
        mood["reason"] = json!(t);
        let mut event = violation.clone();
        event["event"] = json!(t);
        scene.write("violations", format!("{violation}\n{foreign}\n").as_bytes());
        for (index, wrong) in [unknown, mood, event].into_iter().enumerate() {
            scene.write(&format!("violation{index}"), wrong.to_string().as_bytes());
        }
        let entry = json!({"context": ["execve"], "symbol": "socket", "reason": "transition",
            "count": 2, "first": "2026-11-23T10:00:00Z", "last": "2026-11-23T11:00:00Z", "pid": 42,
            "tid": 43, "comm": t, "args": ["0x1", "0x2", "0x3", "0x4", "0x5", "0x6"], "ip": "0x7f01",
            "stack": [{"address": "0x7f01", "module": format!("/lib/{t}"), "symbol": t, "offset": "0x4"}]});
        let mut symbol = entry.clone();
        symbol["symbol"] = json!(t);
        let review = |of: &str, entries: Vec<Value>| {
            json!({"sysfsm_review": 1, "policies": [
                {"binary": of, "depth": 2, "violations": entries}]})
            .to_string()
        };
        scene.write("seen", review(&binary, vec![entry.clone(), symbol]).as_bytes());
        scene.write("seen_other", review(&format!("/bin/{t}"), vec![entry.clone()]).as_bytes());
        for (index, key) in ["context", "reason", "first", "ip", t].into_iter().enumerate() {
            let mut wrong = entry.clone();
            wrong[key] = if key == "context" { json!([t]) } else { json!(t) };
            scene.write(&format!("seen{index}"), review(&binary, vec![wrong]).as_bytes());
        }
        scene
    }

    fn write(&self, prefix: &str, bytes: &[u8]) {
        fs::write(self.dir.path().join(self.file(prefix)), bytes).unwrap();
    }

    /// The name of a file of the folder.
    fn file(&self, prefix: &str) -> OsString {
        let mut name = OsString::from(prefix);
        name.push(&self.name);
        name
    }

    /// Runs a line in which `PREFIX@` is a file of the folder, and `%` the text; the standard output
    /// and error.
    fn run(&self, line: &str, answers: &str) -> (String, String) {
        let word = |word: &str| {
            if let Some(prefix) = word.strip_suffix('@') {
                return self.file(prefix);
            }
            let mut replaced = OsString::new();
            for (index, part) in word.split('%').enumerate() {
                if index > 0 {
                    replaced.push(&self.name);
                }
                replaced.push(part);
            }
            replaced
        };
        let mut child = Command::new(binary())
            .args(line.split(' ').map(word))
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
        let output = child.wait_with_output().unwrap();
        let of = self.text.escape_debug();
        let said = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes)
                .unwrap_or_else(|e| panic!("{line}: no UTF-8: {:?}", e.as_bytes()));
            assert!(!text.contains(harmful), "{line} with {of}:\n{text:?}");
            assert!(!text.lines().any(|l| l.starts_with("forged")), "{line}:\n{text}");
            assert!(!text.contains("panicked"), "{line} with {of}:\n{text}");
            text
        };
        (said(output.stdout), said(output.stderr))
    }

    /// Runs a line, which prints something.
    fn says(&self, line: &str) {
        let (out, err) = self.run(line, "");
        assert!(!out.is_empty() || !err.is_empty(), "{line} said nothing");
    }
}

/// Lines for people: what is done, and what is refused.
const LINES: [&str; 52] = [
    "extract log@ -o out@",
    "extract log@ -o -",
    "extract log@ -o dir/",
    "extract log@ --binary % -o out@",
    "extract none@ -o out@",
    "extract log@ -o none@/x",
    "extract log@ --strict -o out@",
    "extract policy@ -o out@",
    "check --policy policy@ -- log@",
    "check --policy other@ -- log@",
    "check --policy policy@ -- none@",
    "check --policy none@ -- log@",
    "explain -p policy@ -- violations@",
    "explain -p policy@ -- violation0@",
    "explain -p policy@ -- violation1@",
    "explain -p policy@ -- violation2@",
    "explain -p cgroup@ -- violations@",
    "explain -p policy@ -- none@",
    "explain -p policy@ --events violations@ -- %",
    "explain -p policy@ --events violation2@ -- id%",
    "show policy@",
    "show cgroup@ policy@ --format html",
    "show policy@ --format dot",
    "show policy@ --format svg",
    "show none@",
    "show wrong0@",
    "show wrong1@",
    "show wrong2@",
    "show wrong3@",
    "show wrong4@",
    "show wrong5@",
    "show wrong6@",
    "show wrong7@",
    "show wrong8@",
    "show log@",
    "diff policy@ cgroup@",
    "diff policy@ other@",
    "diff --check policy@ other@",
    "merge policy@ other@ -o out@",
    "merge policy@ cgroup@ -o out@",
    "merge policy@ policy@ -o out@",
    "merge policy@ -o none@/x",
    "export policy@ --format systemd -o -",
    "export policy@ --format oci -o -",
    "export policy@ --format seccompiler -o out@",
    "review seen@ -p policy@ --list",
    "review seen_other@ -p policy@ --list",
    "review seen0@ -p policy@ --list",
    "review seen1@ -p policy@ --list",
    "review seen2@ -p policy@ --list",
    "review seen@ -p policy@ -o out@ --accept %",
    "review seen@ -p policy@ -o out@ --accept %->%",
];

/// Lines whose arguments the command line does not understand.
const MISUSED: [&str; 4] = ["%", "show --%", "extract log@ -o out@ --depth %", "show x --format %"];

#[test]
fn no_text_of_others_reaches_a_terminal_as_it_is() {
    let mut random = Random(seed());
    let random_text = |random: &mut Random| -> Vec<u8> {
        (0..40).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
    };
    let mut texts: Vec<Vec<u8>> = BATTERY.iter().map(|text| text.to_vec()).collect();
    texts.extend((0..3).map(|_| random_text(&mut random)));
    for hostile in &texts {
        let scene = Scene::new(hostile);
        for line in LINES.into_iter().chain(MISUSED) {
            scene.says(line);
        }
        scene.run("review seen@ -p policy@ -o out@", "?\ns\n?\nr\nq\n");
        scene.run("review seen@ -p policy@ -o out@ --accept-all", "");
        // What was written is shown, too.
        for entry in fs::read_dir(scene.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let ours = path.file_name().is_some_and(|n| n.as_bytes().starts_with(b"out"));
            if ours && path.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains(harmful), "{text:?}");
            }
        }
    }
}

#[test]
fn different_names_are_told_apart_and_json_has_them_whole() {
    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    for hostile in BATTERY {
        let scene = Scene::new(hostile);
        let (shown, _) = scene.run("show policy@", "");
        let binary = shown.lines().next().unwrap().to_string();
        for (other, of) in &seen {
            assert!(*other != binary, "{of:?} and {hostile:?} are both {binary}");
        }
        seen.push((binary, hostile.to_vec()));
        let whole = format!("/opt/{}x", scene.text);
        let lines = |line: &str| -> Vec<Value> {
            let violations = fs::read(scene.dir.path().join(scene.file("violations"))).unwrap();
            let (out, err) = scene.run(line, std::str::from_utf8(&violations).unwrap());
            let all = out + &err;
            all.lines()
                .map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}")))
                .collect()
        };
        let (policy, _) = scene.run("show policy@ --format json", "");
        assert_eq!(serde_json::from_str::<Value>(&policy).unwrap()["binary"], whole.as_str());
        let check = lines("check --json --policy policy@ -- log@");
        // What ends a name in a log, or is taken for colour there, is not in the name.
        if !scene.text.contains(['\n', '"', '\\', '\x1b']) {
            let found = check
                .iter()
                .find(|v| v["event"] == "violation")
                .unwrap_or_else(|| panic!("{hostile:?}: {check:?}"));
            assert_eq!(found["policy"], whole.as_str());
            let file = String::from_utf8_lossy(scene.file("log").as_bytes()).into_owned();
            assert_eq!(found["file"], file.as_str());
        }
        let seen = lines("review seen@ -p policy@ --list --json");
        assert!(seen.iter().all(|q| q["comm"] == scene.text.as_str()), "{seen:?}");
        let module = format!("/lib/{}", scene.text);
        assert!(seen.iter().any(|q| q["stack"][0]["module"] == module.as_str()), "{seen:?}");
        let explained = lines("explain --json -p policy@ -- -");
        assert!(explained.iter().any(|e| e["policy"] == whole.as_str()), "{explained:?}");
    }
}

#[test]
fn the_battery_does_harm_where_it_is_printed_as_it_is() {
    for hostile in BATTERY {
        let text = String::from_utf8_lossy(hostile);
        assert!(
            text.contains(harmful) || text.contains(['\n', '\u{fffd}', '\\']),
            "{text:?} tests nothing"
        );
    }
    assert!(Path::new(OsStr::from_bytes(BATTERY[7])).to_str().is_none());
}
