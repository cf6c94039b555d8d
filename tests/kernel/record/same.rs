//! Recording, and extracting from an strace log of the same work, give the same: every transition
//! of every binary, and their counts too, where nothing depends on timing.

use super::{policies, start, stopped, transitions, Transitions};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;

/// Whether the same work is also the same calls.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    /// Call for call.
    Steady,
    /// Who comes first, a child or its creator, is chance. So it is done until both have seen the
    /// same orders, and only which transitions there are is compared: one that a side can never see
    /// never comes.
    Racing,
}

/// So often at the most.
const RACES: usize = 40;

/// Binary → runs and transitions.
type Learned = BTreeMap<String, (u64, Transitions)>;

/// The policies of a directory.
fn learned(directory: &Path) -> Learned {
    let policies = policies(directory).into_iter();
    policies.map(|(binary, p)| (binary, (p["runs"].as_u64().unwrap(), transitions(&p)))).collect()
}

/// Adds up.
fn unite(all: &mut Learned, more: Learned) {
    for (binary, (runs, transitions)) in more {
        let (sum_of_runs, sum) = all.entry(binary).or_default();
        *sum_of_runs += runs;
        for (transition, (calls, runs)) in transitions {
            let count = sum.entry(transition).or_default();
            *count = (count.0 + calls, count.1 + runs);
        }
    }
}

/// A fresh directory to work in, and a command that works there.
fn prepare(lab: &Lab, setup: &str, command: &[&str]) -> Vec<String> {
    let directory = lab.path("work");
    drop(fs::remove_dir_all(&directory));
    fs::create_dir(&directory).unwrap();
    lab.run(Path::new("/bin/bash"), &["-ec", &format!("cd work; {setup}")], "").well("the setup");
    let mut inside = vec!["/usr/bin/env".into(), "-C".into(), directory.display().to_string()];
    inside.extend(command.iter().map(ToString::to_string));
    inside
}

fn record(lab: &Lab, depth: &str, command: &[String]) -> Learned {
    let to = lab.fresh("recorded");
    let directory = format!("{}/", to.display());
    let mut arguments = vec!["--depth", depth, "-o", &directory, "--"];
    arguments.extend(command.iter().map(String::as_str));
    stopped(&start(lab, &arguments).end().well("record").stderr);
    learned(&to)
}

fn extract(lab: &Lab, depth: &str, command: &[String]) -> Learned {
    let (log, to) = (lab.fresh("log"), lab.fresh("extracted"));
    let mut strace = Command::new("strace");
    lab.start(strace.args(["-f", "-o"]).arg(&log).args(command)).end().well("strace");
    let mut extract = Command::new(binary());
    extract.args(["extract", "--depth", depth, "-o"]).arg(format!("{}/", to.display())).arg(log);
    lab.start(&mut extract).end().well("extract");
    learned(&to)
}

/// What one side has and the other has not.
fn difference(ours: &Learned, theirs: &Learned, work: Work) -> Vec<String> {
    let mut lines = Vec::new();
    for binary in ours.keys().chain(theirs.keys().filter(|b| !ours.contains_key(*b))) {
        let (Some((our_runs, ours)), Some((their_runs, theirs))) =
            (ours.get(binary), theirs.get(binary))
        else {
            lines.push(format!("{binary}: only one side has it"));
            continue;
        };
        if our_runs != their_runs {
            lines.push(format!("{binary}: {our_runs} runs recorded, {their_runs} in the logs"));
        }
        for transition in ours.keys().chain(theirs.keys().filter(|t| !ours.contains_key(*t))) {
            let (our, their) = (ours.get(transition), theirs.get(transition));
            if our.is_some() != their.is_some() || (work == Work::Steady && our != their) {
                lines.push(format!(
                    "{binary}: {transition}: recorded {our:?}, in the logs {their:?}"
                ));
            }
        }
    }
    lines
}

#[track_caller]
fn same(work: Work, setup: &str, command: &[&str]) {
    let lab = Lab::new();
    same_in(&lab, work, setup, command);
}

#[track_caller]
fn same_in(lab: &Lab, work: Work, setup: &str, command: &[&str]) {
    for depth in ["2", "3"] {
        let (mut ours, mut theirs) = (Learned::new(), Learned::new());
        let mut lines = Vec::new();
        let mut times = 0;
        while times == 0 || (work == Work::Racing && times < RACES && !lines.is_empty()) {
            times += 1;
            unite(&mut ours, record(lab, depth, &prepare(lab, setup, command)));
            unite(&mut theirs, extract(lab, depth, &prepare(lab, setup, command)));
            lines = difference(&ours, &theirs, work);
        }
        let transitions: usize = ours.values().map(|(_, t)| t.len()).sum();
        assert!(
            lines.is_empty(),
            "{command:?} at depth {depth}, {times} times:\n{}",
            lines.join("\n")
        );
        let binaries = ours.len();
        eprintln!("{command:?} at depth {depth}: {binaries} binaries, {transitions} transitions, the same ({times}×)");
        assert!(binaries > 1 && transitions > 40);
    }
}

const FILES: &str =
    "seq 20000 > a; echo b > b; mkdir d; cp a b d; touch -d @1000000000 a b d d/a d/b";

#[test]
fn cat() {
    same(Work::Steady, FILES, &["/usr/bin/cat", "a", "b"]);
}

#[test]
fn ls() {
    same(Work::Steady, FILES, &["/usr/bin/ls", "-laR", "."]);
}

#[test]
fn tar() {
    same(Work::Steady, FILES, &["/usr/bin/tar", "-cf", "out.tar", "a", "b", "d"]);
}

#[test]
fn gzip() {
    same(Work::Steady, FILES, &["/usr/bin/gzip", "-k", "a", "d/a"]);
}

#[test]
fn find() {
    same(Work::Steady, FILES, &["/usr/bin/find", ".", "-name", "a*", "-size", "+1k"]);
}

#[test]
fn sort() {
    same(Work::Steady, FILES, &["/usr/bin/sort", "--parallel=1", "-r", "a", "-o", "sorted"]);
}

#[test]
fn sqlite3() {
    let sql =
        "create table t(a, b); insert into t values (1, 2), (3, 4); begin; update t set a = 5; rollback; \
        select * from t;";
    same(Work::Steady, "", &["/usr/bin/sqlite3", "db", sql]);
}

#[test]
fn python3() {
    let program =
        "import json, os\nwith open('out', 'w') as f: json.dump({'a': [1, 2]}, f)\nos.listdir('.')\n\
        os.rename('out', 'renamed')\nprint(json.load(open('renamed')))";
    // Where its memory begins, and how it hashes, is chance; and so when it asks for more.
    let python =
        ["PYTHONHASHSEED=0", "/usr/bin/setarch", "-R", "/usr/bin/python3", "-B", "-c", program];
    same(Work::Steady, FILES, &python);
}

#[test]
fn nested_signal_handlers() {
    let lab = Lab::new();
    let program = lab.fixture("signals").display().to_string();
    same_in(&lab, Work::Steady, "", &[&program]);
}

#[test]
fn children_of_every_kind() {
    let lab = Lab::new();
    let program = lab.fixture("forks").display().to_string();
    same_in(&lab, Work::Steady, "", &[&program]);
}

#[test]
fn bash_with_traps_and_pipes() {
    // SIGCHLD comes while the shell waits, or before.
    let script = "trap 'echo got it' USR1; kill -USR1 $$; /usr/bin/cat a | /usr/bin/sort --parallel=1 | /usr/bin/tail -1; \
        for i in 1 2 3; do /bin/true; done; (exit 3); x=$(/usr/bin/wc -l < a); echo $x; trap - USR1";
    same(Work::Racing, FILES, &["/usr/bin/bash", "-c", script]);
}

#[test]
fn make_with_its_compiler() {
    // make has a handler of SIGCHLD. A pipe, and no link: gcc draws the names of temporary files by
    // chance.
    let setup = "printf 'int main(void) { return 0; }' > m.c; \
        printf 'm.o: m.c\\n\\tgcc -pipe -O1 -c m.c\\n' > Makefile";
    same(Work::Racing, setup, &["/usr/bin/make", "-j1"]);
}
