//! What is wrong with a policy file: one problem, and the list of all that were found.

use crate::policy::parse::json::Json;
use crate::syscall::ParseSymbolError;
use crate::text::shown;
use std::collections::BTreeSet;
use std::fmt;

/// One thing that is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a path of keys (`transitions."execve"."opnat"`), or line and column where it is not
    /// even JSON.
    pub place: String,
    /// What, with the value.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            return f.write_str(&self.what);
        }
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// The most problems of one file that are reported: enough to mend it, not a flood.
pub(crate) const MAX_PROBLEMS: usize = 20;

/// The problems that were found so far.
#[derive(Default)]
pub(crate) struct Problems {
    pub(crate) list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn problem(
        &mut self,
        place: impl Into<String>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(Problem { place: place.into(), what: what.into(), hint: hint.into() });
        }
    }

    /// A value of the wrong kind.
    pub(crate) fn wrong(&mut self, place: &str, value: &Json, want: &str) {
        self.problem(place, format!("`{value}` is not {want}"), format!("write {want}"));
    }

    pub(crate) fn duplicates(&mut self, place: &str, entries: &[(String, Json)]) {
        let mut seen = BTreeSet::new();
        for (key, _) in entries {
            if !seen.insert(key) {
                self.problem(
                    place,
                    format!("the key `{}` stands twice", shown(key)),
                    "leave one of them; which of the two counts would be a guess",
                );
            }
        }
    }

    pub(crate) fn unknown_symbol(&mut self, place: &str, error: &ParseSymbolError) {
        self.problem(place, error.to_string(), error.hint());
    }
}

/// What may have been meant by an unknown key.
pub(crate) fn key_hint(key: &str, allowed: &[&str]) -> String {
    let similar = allowed
        .iter()
        .find(|a| a.eq_ignore_ascii_case(key) || a.starts_with(key) || key.starts_with(**a));
    match similar {
        Some(name) if !key.is_empty() => format!("did you mean `{name}`?"),
        _ => format!("the keys are {}", allowed.join(", ")),
    }
}
