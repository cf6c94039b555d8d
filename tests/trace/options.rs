//! Logs that strace 6.1 wrote of the programs beside them, of one program with many options. The
//! options change nothing, and the files of `-ff` have the events of one log.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use sysfsm::event::{Event, EventKind, Tid};
use sysfsm::syscall::{signal_name, CallName};
use sysfsm::trace::{Member, Reader, Report};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trace/strace").join(name)
}

/// One thread's story: what the thread did, and the stories of its children.
#[derive(Default)]
struct Story(Vec<(String, Option<usize>)>);

/// All stories from their beginnings, without ids and without the order among threads.
#[derive(Default)]
struct Stories {
    all: Vec<Story>,
    beginnings: Vec<usize>,
    alive: HashMap<Tid, usize>,
}

impl Stories {
    fn begin(&mut self, tid: Tid) -> usize {
        self.all.push(Story::default());
        self.alive.insert(tid, self.all.len() - 1);
        self.all.len() - 1
    }

    fn take(&mut self, event: Event) {
        let at = if let Some(&at) = self.alive.get(&event.tid) {
            at
        } else {
            let at = self.begin(event.tid);
            self.beginnings.push(at);
            at
        };
        let (word, child) = match event.kind {
            EventKind::Call(n) => (CallName(n).to_string(), None),
            EventKind::Exec(path) => (format!("exec {path}"), None),
            EventKind::SetupFailed => ("setup failed".into(), None),
            EventKind::Signal(n) => (format!("@{}", signal_name(n).unwrap()), None),
            EventKind::Spawn { child, same_group } => {
                (if same_group { "thread" } else { "child" }.into(), Some(self.begin(child)))
            }
            EventKind::Renamed(tid) => {
                self.alive.remove(&event.tid);
                self.alive.insert(tid, at);
                ("renamed".into(), None)
            }
            EventKind::End => {
                self.alive.remove(&event.tid);
                ("end".into(), None)
            }
            other => (format!("{other:?}"), None),
        };
        self.all[at].0.push((word, child));
    }

    fn write(&self, at: usize, indent: usize, out: &mut String) {
        for (word, child) in &self.all[at].0 {
            writeln!(out, "{:indent$}{word}", "").unwrap();
            if let Some(child) = child {
                self.write(*child, indent + 2, out);
            }
        }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for &at in &self.beginnings {
            self.write(at, 0, &mut out);
        }
        out
    }
}

fn log(name: &str) -> (String, Report) {
    let mut stories = Stories::default();
    let mut reader = Reader::new();
    reader
        .read(0, BufReader::new(File::open(data(name)).unwrap()), &mut |e| stories.take(e))
        .unwrap();
    (stories.text(), reader.report().clone())
}

fn family(name: &str) -> (String, Report) {
    let mut members = Vec::new();
    let mut paths = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(data("")).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let file = path.file_name().unwrap().to_str().unwrap();
        if let Some(pid) = file.strip_prefix(name).and_then(|t| t.strip_prefix('.')) {
            members.push(Member {
                file: u32::try_from(paths.len()).unwrap(),
                pid: pid.parse().unwrap(),
            });
            paths.push(path);
        }
    }
    // The order in which the files are given does not matter.
    members.reverse();
    paths.reverse();
    let mut stories = Stories::default();
    let mut reader = Reader::new();
    reader
        .read_family(&members, &mut |i| Ok(BufReader::new(File::open(&paths[i])?)), &mut |e| {
            stories.take(e);
        })
        .unwrap();
    (stories.text(), reader.report().clone())
}

#[track_caller]
fn is(golden: &str, (story, report): (String, Report), name: &str) {
    let path = data(golden);
    if std::env::var_os("SYSFSM_BLESS").is_some() {
        fs::write(&path, &story).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap();
    assert_eq!(story, wanted, "{name} differs from {}", path.display());
    assert_eq!(report.set_aside, [], "{name}");
    assert_eq!(report.warnings, [], "{name}");
}

#[test]
fn options_change_nothing_of_nested_handlers_fork_and_vfork() {
    for name in ["o", "stderr", "mixed", "columns", "k", "raw"] {
        let name = format!("nested.{name}.log");
        is("nested.events", log(&name), &name);
    }
}

#[test]
fn a_family_of_files_has_the_events_of_one_log() {
    is("nested.events", family("nested.ff"), "nested.ff");
    is("threads.events", family("threads.ff"), "threads.ff");
}

#[test]
fn threads_and_the_exec_of_one_of_them_have_the_same_events_on_stderr_and_in_a_file() {
    for name in ["o", "stderr", "merged"] {
        let name = format!("threads.{name}.log");
        is("threads.events", log(&name), &name);
    }
}
