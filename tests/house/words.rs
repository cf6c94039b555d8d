//! The words: a concept has one name, the field's standard term, in code, output and documents.
//!
//! The names that these replaced must not come back. A word of the list is found as a whole word,
//! or as a part of an identifier, in any case. CHANGELOG.md names old words, to say what replaced
//! them; logs of strace are not ours.

use crate::paths::{files, root};
use std::fs;
use std::path::PathBuf;

/// An old word, and what is said instead.
const OLD: &[(&str, &str)] = &[
    ("again_sys_enter", "sys_enter_fallback"),
    ("agency", "agent lock"),
    ("arrival", "migration target"),
    ("catch_up", "judge_at_hook"),
    ("caught_up", "judged_at_hook"),
    ("choke", "enforcement point"),
    ("climb", "walk to the root"),
    ("condemned", "enforcement state `kill`"),
    ("departure", "migration key"),
    ("doorkeeper", "accept loop"),
    ("ghost", "retired"),
    ("in_spares", "threads_in_fallback"),
    ("kin", "family index"),
    ("laid", "compiled machine"),
    ("left_out", "unsupported"),
    ("let_go", "preempt_on"),
    ("lineup", "policy set"),
    ("outlet", "event stream"),
    ("refusable", "deny coverage"),
    ("sighting", "complain event"),
    ("spares", "fallbacks"),
    ("streak", "fast path"),
    ("sysfsm_hold", "sysfsm_preempt_off"),
    ("tallies", "kind counts"),
    ("tally", "kind count"),
    ("unmet", "deny pending"),
    ("unseen", "simulate_missed_nr"),
    ("untallied", "unclassified"),
    ("vacate", "free"),
];

/// A text's words: runs of letters and underscores, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|w| !w.is_empty())
        .map(snake)
}

/// An identifier in snake case: `PolicySet` is `policy_set`.
fn snake(word: &str) -> String {
    let (mut snake, mut small) = (String::new(), false);
    for c in word.chars() {
        if c.is_ascii_uppercase() && small {
            snake.push('_');
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// Whether the word stands in an identifier as a part of its own: at `_` or at a change of case.
fn has(identifier: &str, word: &str) -> bool {
    identifier == word
        || identifier.starts_with(&format!("{word}_"))
        || identifier.ends_with(&format!("_{word}"))
        || identifier.contains(&format!("_{word}_"))
}

/// Every file of the tree but what git and builds have put there.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".git") || path.ends_with("target") {
            continue;
        }
        if path.is_dir() {
            files(&path, &mut found);
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_old_word_comes_back() {
    let mut found = Vec::new();
    let mut read = 0;
    for path in sources() {
        let file = path.strip_prefix(root()).unwrap().display().to_string();
        let log = file.starts_with("tests/trace/") && path.extension().is_none_or(|e| e != "rs");
        if log || ["CHANGELOG.md", "Cargo.lock", "tests/house/words.rs"].contains(&&*file) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        read += 1;
        for (number, line) in text.lines().enumerate() {
            for word in words(line) {
                for (old, new) in OLD {
                    if has(&word, old) {
                        found.push(format!("{file}:{}: `{word}`: say {new}", number + 1));
                    }
                }
            }
        }
    }
    assert!(read > 300, "only {read} files were found");
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
