//! Who started the runs that a policy was learned from.

use crate::cli::format::count::counted;
use crate::cli::io::report;
use crate::cli::policies::learned::Written;
use crate::kernel::Starters;
use crate::text::UntrustedText;
use nix::unistd::{Uid, User};
use serde_json::{json, Value};
use std::cmp::Reverse;

/// How many of several are named.
const NAMED: usize = 8;

/// The name of a user, if there is one.
fn name(uid: u32) -> Option<UntrustedText> {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
    Some(UntrustedText::from(user.name))
}

/// A user for people: `www-data (33)`, or `user 33`.
fn called(uid: u32) -> String {
    name(uid).map_or_else(|| format!("user {uid}"), |name| format!("{name} ({uid})"))
}

/// What each has started, who started most first.
fn listed<T>(all: impl Iterator<Item = (T, u64)>, called: impl Fn(T) -> String) -> String {
    let mut all: Vec<(T, u64)> = all.collect();
    all.sort_by_key(|&(_, runs)| Reverse(runs));
    let more = all.len().saturating_sub(NAMED);
    let shown = all.into_iter().take(NAMED);
    let mut list: Vec<String> =
        shown.map(|(who, runs)| format!("{}: {}", called(who), counted(runs, "run"))).collect();
    if more > 0 {
        list.push(format!("{more} more"));
    }
    list.join(", ")
}

/// The policy's line, and who started its runs.
pub(crate) fn line(written: &Written, starters: Option<&Starters>) -> String {
    let Some(starters) = starters else { return written.line() };
    let users = listed(starters.users.iter().map(|(&uid, &runs)| (uid, runs)), called);
    let cgroups = starters.cgroups.iter().map(|(path, &runs)| (path, runs));
    let cgroups = listed(cgroups, ToString::to_string);
    format!("{}\nstarted by {users}\nstarted in {cgroups}", written.line())
}

/// The policy as a value of `policies`, with who started its runs.
pub(crate) fn json(written: &Written, starters: Option<&Starters>) -> Value {
    let mut value = written.json();
    if let (Some(starters), Some(object)) = (starters, value.as_object_mut()) {
        let users = starters.users.iter();
        let users = users.map(|(&uid, runs)| json!({"uid": uid, "user": name(uid), "runs": runs}));
        let cgroups = starters.cgroups.iter();
        let cgroups = cgroups.map(|(path, runs)| json!({"cgroup": path, "runs": runs}));
        object.insert("users".into(), users.collect());
        object.insert("cgroups".into(), cgroups.collect());
        object.insert("foreign_runs".into(), foreign(starters).into());
    }
    value
}

/// How many runs another user than the owner has started.
fn foreign(starters: &Starters) -> u64 {
    let owner = starters.owner();
    starters.users.iter().filter(|&(&uid, _)| Some(uid) != owner).map(|(_, runs)| runs).sum()
}

/// Warns of runs that another user than the owner has started.
pub(crate) fn warn_of(written: &Written, starters: Option<&Starters>) {
    let Some((starters, owner)) = starters.and_then(|s| Some((s, s.owner()?))) else { return };
    let runs = foreign(starters);
    if runs == 0 {
        return;
    }
    let others = starters.users.iter().filter(|&(&uid, _)| uid != owner);
    report::warn(
        &format!(
            "`{}`: {} started by others than its owner, {}: {}",
            written.policy.binary,
            counted(runs, "run"),
            called(owner),
            listed(others.map(|(&uid, &runs)| (uid, runs)), called),
        ),
        "who starts a program chooses what it does: record again with --uid USER or --cgroup PATH",
    );
}
