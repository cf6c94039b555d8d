//! The three ways in which the battery is run.

use super::scene::{self, net, Helpers};
use crate::policy;
use nix::errno::Errno;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use sysfsm_fixtures::battery::call::Abi;
use sysfsm_fixtures::battery::outside::Outside;
use sysfsm_fixtures::battery::table::Attack;
use sysfsm_testing::lab::{described, Ended, Lab};

/// What came of one attack.
pub struct Outcome {
    pub effect: bool,
    /// The attacker ended by SIGKILL, and the event says why.
    pub killed: bool,
    /// As it should be.
    pub good: bool,
    /// What the attacker was told, or what became of it.
    end: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bad = if self.good { "" } else { " !" };
        write!(f, "{} {}{bad}", if self.effect { "effect" } else { "absent" }, self.end)
    }
}

/// How the attacker ended whose calls were all denied, and the violations that were reported of it:
/// found and expected. It is judged when the table is printed.
pub struct Sequel {
    ended: Ended,
    events: (Vec<String>, Vec<String>),
}

impl Sequel {
    #[track_caller]
    pub fn well(self) {
        self.ended.well("the attacker whose calls were all denied");
        assert_eq!(self.events.0, self.events.1, "one violation an attack, in their order");
    }
}

/// A result as people write it.
fn told(result: Option<i64>) -> String {
    match result.map(|r| (r, i32::try_from(-r).map(Errno::from_raw))) {
        None => "silent".into(),
        Some((0.., _)) => "done".into(),
        Some((_, Ok(error))) if error != Errno::UnknownErrno => format!("{error:?}"),
        Some((result, _)) => result.to_string(),
    }
}

/// The results that an attacker has told, in their order.
fn results(stdout: &str) -> Vec<i64> {
    stdout.lines().filter_map(|l| l.strip_prefix("RESULT ")?.parse().ok()).collect()
}

/// One attack by an attacker of its own, which is looked at while it waits (if it does).
fn alone(
    lab: &Lab,
    helpers: &mut Helpers,
    binary: &Path,
    attack: &Attack,
) -> (Ended, Option<i64>, bool) {
    let net = net();
    let mut attacker = scene::attacker(lab, binary, &net);
    let mut outside = scene::set(lab, &net, helpers.one(lab), &attacker);
    attacker.say(&format!("{} {}", attack.name(), outside.stage));
    let said = attacker.said(|said| said.contains("RESULT "));
    outside.result = results(&said).first().copied();
    let (ended, effect) = if outside.result.is_some() {
        let effect = attack.seen(&outside);
        (attacker.end(), effect)
    } else {
        let ended = attacker.end();
        (ended, attack.seen(&outside))
    };
    helpers.after(attack, &outside);
    (ended, outside.result, effect)
}

/// Without enforcement.
pub fn baseline(lab: &Lab, attacks: &[Attack]) -> Vec<Outcome> {
    let binary = lab.fixture_as("battery", "unwatched");
    let mut helpers = Helpers::default();
    let one = |attack: &Attack| {
        let (ended, result, effect) = alone(lab, &mut helpers, &binary, attack);
        let lacks = [Errno::EPERM, Errno::ENOSYS, Errno::EOPNOTSUPP].map(|e| Some(-(e as i64)));
        let lacks = lacks.contains(&result);
        let end = if ended.status.success() { told(result) } else { ended.stderr };
        Outcome { effect, killed: false, good: effect || attack.optional() && lacks, end }
    };
    attacks.iter().map(one).collect()
}

/// Under `kill`, an attacker for each; and the level that was reached. `crowded`: each within a
/// crowd.
pub fn killed(lab: &Lab, attacks: &[Attack], crowded: bool) -> (String, Vec<Outcome>) {
    let binary = lab.fixture_as("battery", "killed");
    let policy = write(lab, &binary, "kill");
    let enforcement = lab.enforce(&[&policy], &["--require", "kill"]);
    let mut helpers = Helpers::default();
    let one = |attack: &Attack| {
        let _crowd = crowded.then(|| scene::crowd(lab, &binary, attack));
        let (ended, result, effect) = alone(lab, &mut helpers, &binary, attack);
        let killed = ended.killed() && result.is_none();
        let end =
            if killed { "killed".into() } else { format!("{} {}", ended.status, ended.stderr) };
        (ended.pid, Outcome { effect, killed, good: killed && !effect, end })
    };
    let outcomes: Vec<(u32, Outcome)> = attacks.iter().map(one).collect();
    let report = enforcement.stop();
    let level = report.start["level"].as_str().unwrap().to_string();
    let judged = outcomes.into_iter().zip(attacks).map(|((pid, mut outcome), attack)| {
        let (found, expected) = (report.first_of(pid), violation(attack));
        if found.as_deref() != Some(&expected) {
            outcome = Outcome { killed: false, good: false, end: format!("{found:?}"), ..outcome };
        }
        outcome
    });
    (level, judged.collect())
}

/// Under `deny`: one attacker makes all the attacks that the level denies, and then ends well. For
/// each of the others there is an attacker of its own, which is `killed`. What the kernel does not
/// have (`has`) cannot be refused, and is not tried. `crowded`: each within a crowd.
pub fn denied(
    lab: &Lab,
    attacks: &[Attack],
    level: &str,
    crowded: bool,
    has: impl Fn(&Attack) -> bool,
    killed: impl Fn(&Attack) -> bool,
) -> (Vec<Outcome>, Sequel) {
    let binary = lab.fixture_as("battery", "denied");
    let policy = write(lab, &binary, "deny");
    let enforcement = lab.enforce(&[&policy], &["--require", level]);
    let (net, mut helpers) = (net(), Helpers::default());
    let mut attacker = scene::attacker(lab, &binary, &net);
    let pid = attacker.pid().as_raw();
    let mut expected = Vec::new();
    let one = |attack: &Attack| {
        if !has(attack) {
            return Outcome { effect: false, killed: false, good: true, end: "not tried".into() };
        }
        let _crowd = crowded.then(|| scene::crowd(lab, &binary, attack));
        if killed(attack) {
            let (ended, result, effect) = alone(lab, &mut helpers, &binary, attack);
            let killed = ended.killed() && result.is_none();
            return Outcome {
                effect,
                killed,
                good: killed && !effect,
                end: ended.status.to_string(),
            };
        }
        let index = expected.len();
        expected.push(violation(attack));
        let mut outside: Outside = scene::set(lab, &net, helpers.one(lab), &attacker);
        attacker.say(&format!("{} {}", attack.name(), outside.stage));
        let said = attacker.said(|said| results(said).len() > index);
        outside.result = results(&said).get(index).copied();
        let effect = attack.seen(&outside);
        helpers.after(attack, &outside);
        let good = !effect && outside.result.is_some_and(|result| attack.is_refusal(result));
        Outcome { effect, killed: false, good, end: told(outside.result) }
    };
    let outcomes = attacks.iter().map(one).collect();
    let ended = attacker.end();
    let report = enforcement.stop();
    let found: Vec<String> =
        report.violations.iter().filter(|v| v["pid"] == pid).map(described).collect();
    (outcomes, Sequel { ended, events: (found, expected) })
}

fn write(lab: &Lab, binary: &Path, action: &str) -> PathBuf {
    let file = lab.fresh("policy");
    fs::write(&file, policy::all_but_after_the_marker(binary, action).to_string()).unwrap();
    file
}

/// What the event of an attack says: its context, which is the marker, and its symbol.
fn violation(attack: &Attack) -> String {
    match (attack.abi, super::call(attack)) {
        (Abi::Native, Some(name)) => format!("transition: getpriority → {name}"),
        (Abi::Native, None) => panic!("{}: no such call", attack.name()),
        (Abi::I386, _) => "abi: getpriority → @i386".into(),
    }
}
