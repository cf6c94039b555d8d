//! The reader of policy files. It reports everything that is wrong with a file, and takes nothing
//! from a file with something wrong.

use crate::machine::{Depth, Machine, MAX_DEPTH};
use crate::policy::action::{Action, Children};
use crate::policy::definition::Policy;
use crate::policy::parse::json::Json;
use crate::policy::parse::problem::{key_hint, Problem, Problems};
use crate::text::shown;

const KEYS: [&str; 9] =
    ["sysfsm", "binary", "cgroup", "arch", "depth", "action", "children", "runs", "transitions"];
const THESIS_KEYS: [&str; 2] = ["binary", "data"];

/// Reads a policy: version 1, or the thesis's `{"binary": …, "data": …}`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &[u8]) -> Result<Policy, Vec<Problem>> {
    let json: Json = serde_json::from_slice(text).map_err(|e| vec![syntax(&e)])?;
    let mut problems = Problems::default();
    let policy = problems.document(json);
    match policy {
        Some(policy) if problems.list.is_empty() => Ok(policy),
        _ => Err(problems.list),
    }
}

fn syntax(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text).to_lowercase();
    Problem {
        place: format!("line {}, column {}", error.line(), error.column()),
        what: format!("not JSON: {what}"),
        hint: if error.is_eof() {
            "the file ends too early: was it cut while it was copied or written?".into()
        } else {
            "see docs/policy-format.md for the format".into()
        },
    }
}

/// The fields of a document, unread.
#[derive(Default)]
struct Fields {
    version: Option<Json>,
    binary: Option<Json>,
    cgroup: Option<Json>,
    arch: Option<Json>,
    depth: Option<Json>,
    action: Option<Json>,
    children: Option<Json>,
    runs: Option<Json>,
    /// With the key that it came under.
    transitions: Option<(String, Json)>,
}

impl Problems {
    fn document(&mut self, json: Json) -> Option<Policy> {
        let Json::Object(entries) = json else {
            self.problem(
                "",
                format!("a policy is an object, not {}", json.kind()),
                "see docs/policy-format.md",
            );
            return None;
        };
        self.duplicates("", &entries);
        let has = |key: &str| entries.iter().any(|(k, _)| k == key);
        let thesis = has("data") && !has("sysfsm");
        let allowed: &[&str] = if thesis { &THESIS_KEYS } else { &KEYS };
        let mut fields = Fields::default();
        for (key, value) in entries {
            if !allowed.contains(&key.as_str()) {
                let hint = key_hint(&key, allowed);
                let key = shown(&key).to_string();
                self.problem(key.clone(), format!("unknown key `{key}`"), hint);
                continue;
            }
            match key.as_str() {
                "sysfsm" => fields.version = Some(value),
                "binary" => fields.binary = Some(value),
                "cgroup" => fields.cgroup = Some(value),
                "arch" => fields.arch = Some(value),
                "depth" => fields.depth = Some(value),
                "action" => fields.action = Some(value),
                "children" => fields.children = Some(value),
                "runs" => fields.runs = Some(value),
                _ => fields.transitions = Some((key, value)),
            }
        }
        self.policy(fields, thesis)
    }

    fn policy(&mut self, fields: Fields, thesis: bool) -> Option<Policy> {
        match &fields.version {
            Some(Json::Integer(1)) => {}
            None if thesis => {}
            None => self.problem(
                "sysfsm",
                "the version is missing",
                "add \"sysfsm\": 1, the only version there is so far",
            ),
            Some(other) => self.problem(
                "sysfsm",
                format!("unknown version `{other}`"),
                "this sysfsm reads version 1; a newer file needs a newer sysfsm",
            ),
        }
        if let Some(arch) = fields.arch
            && arch != Json::String("x86_64".into())
        {
            self.problem(
                "arch",
                format!("unknown architecture `{arch}`"),
                "only `x86_64` is known; learn the policy on the machine that runs the program",
            );
        }
        let cgroup = fields.cgroup.and_then(|value| self.cgroup(value));
        let binary = self.binary(fields.binary, cgroup.is_some());
        let depth = match fields.depth {
            None => Depth::default(),
            Some(Json::Integer(n)) if Depth::try_from(n).is_ok() => {
                Depth::try_from(n).unwrap_or_default()
            }
            Some(other) => {
                self.problem(
                    "depth",
                    format!("`{other}` is no depth"),
                    format!("write a whole number from 1 to {MAX_DEPTH}; 2 are pairs"),
                );
                // The widest window, so that the contexts are not blamed for it as well.
                Depth::try_from(u64::from(MAX_DEPTH)).unwrap_or_default()
            }
        };
        let action = self.choice("action", fields.action.as_ref(), &Action::ALL, Action::as_str);
        let children =
            self.choice("children", fields.children.as_ref(), &Children::ALL, Children::as_str);
        let runs = match fields.runs {
            None => 0,
            Some(Json::Integer(n)) => n,
            Some(other) => {
                self.wrong("runs", &other, "a whole number");
                0
            }
        };
        let machine = if let Some((key, value)) = fields.transitions {
            self.transitions(&key, value, depth)
        } else {
            self.problem("transitions", "the transitions are missing", "add \"transitions\": {}");
            Machine::new(depth)
        };
        Some(Policy { binary: binary?, cgroup, action, children, runs, machine })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::machine::Count;
    use crate::policy::parse::problem::MAX_PROBLEMS;

    fn problems(text: &str) -> Vec<Problem> {
        parse(text.as_bytes()).unwrap_err()
    }

    /// A version 1 policy with these further members.
    fn v1(rest: &str) -> String {
        format!(r#"{{"sysfsm": 1, "binary": "/bin/x", {rest}}}"#)
    }

    #[test]
    fn counts_lists_and_the_thesis_format_load() {
        let counted = parse(
            v1(r#""depth": 2, "runs": 3, "transitions": {"execve": {"brk": {"calls": 2, "runs": 1}}}"#)
                .as_bytes(),
        )
        .unwrap();
        let row = counted.machine.row(&"execve".parse().unwrap()).unwrap();
        assert_eq!(row.get(&"brk".parse().unwrap()), Some(&Count { calls: 2, runs: 1 }));
        let listed = parse(v1(r#""transitions": {"execve": ["brk", "mmap"]}"#).as_bytes()).unwrap();
        assert_eq!((listed.machine.transitions(), listed.machine.depth()), (2, Depth::PAIRS));
        let thesis = parse(br#"{"binary": "cat", "data": {"execve": ["brk"]}}"#).unwrap();
        assert_eq!((thesis.binary.whole(), thesis.machine.transitions()), ("cat", 1));
        assert!(thesis.names("/usr/bin/cat") && !thesis.names("/usr/bin/tac"));
    }

    #[test]
    fn a_policy_may_be_for_a_cgroup() {
        let both = parse(v1(r#""cgroup": "/a.slice/b", "transitions": {}"#).as_bytes()).unwrap();
        assert_eq!((both.binary, both.cgroup), ("/bin/x".into(), Some("/a.slice/b".into())));
        let all = parse(br#"{"sysfsm": 1, "cgroup": "/a.slice", "transitions": {}}"#).unwrap();
        assert_eq!((all.binary.whole(), all.name().as_str()), ("*", "* in /a.slice"));
        assert_eq!(parse(all.to_json().as_bytes()).unwrap(), all);
    }

    #[test]
    fn a_self_loop_is_dropped() {
        let policy = parse(
            v1(r#""transitions": {"brk": ["brk", "mmap"], "execve": ["restart_syscall"]}"#)
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(policy.machine.transitions(), 1);
    }

    /// Asserts of each text that one of its problems names the place, the value and the hint.
    fn assert_problems<const N: usize>(cases: [(String, &str, &str, &str); N]) {
        for (text, place, what, hint) in cases {
            let found = problems(&text);
            assert!(
                found.iter().any(|p| p.place.contains(place)
                    && p.what.contains(what)
                    && p.hint.contains(hint)),
                "{text}\n{found:#?}"
            );
        }
    }

    #[test]
    fn each_mistake_in_a_value_names_its_place_its_value_and_a_hint() {
        assert_problems([
            (
                v1(r#""transitions": {"execve": ["opnat"]}"#),
                "transitions.\"execve\"",
                "opnat",
                "did you mean `openat`?",
            ),
            (
                v1(r#""transitions": {"execv": ["brk"]}"#),
                "transitions.\"execv\"",
                "execv",
                "did you mean `execve`?",
            ),
            (v1(r#""transitions": {"a": [], "a": []}"#), "transitions", "twice", "leave one"),
            (v1(r#""transitions": {}, "runs": 1, "runs": 2"#), "", "twice", "leave one"),
            (v1(r#""transitions": {}, "actoin": "kill""#), "actoin", "unknown key", "the keys are"),
            (v1(r#""transitions": {}, "action": "maim""#), "action", "maim", "`kill`"),
            (v1(r#""transitions": {}, "depth": 9"#), "depth", "`9`", "1 to 8"),
            (v1(r#""transitions": {}, "depth": 0"#), "depth", "`0`", "1 to 8"),
            (v1(r#""transitions": {}, "arch": "arm64""#), "arch", "arm64", "x86_64"),
            (
                v1(r#""transitions": {"brk mmap": ["read"]}"#),
                "brk mmap",
                "2 symbols at depth 2",
                "at most 1",
            ),
            (
                v1(r#""transitions": {"": ["read"]}"#),
                "transitions.\"\"",
                "empty context",
                "depth\": 1",
            ),
            (v1(r#""transitions": {"brk": ["@SIGUSR1"]}"#), "brk", "@SIGUSR1", "begins a frame"),
            (
                v1(r#""depth": 3, "transitions": {"brk @SIGUSR1": ["read"]}"#),
                "brk",
                "@SIGUSR1",
                "first",
            ),
            (
                v1(r#""depth": 3, "transitions": {"brk  mmap": ["read"]}"#),
                "brk",
                "blank",
                "one blank",
            ),
            (
                v1(r#""transitions": {"brk": {"read": {"call": 1}}}"#),
                "read",
                "`call`",
                "did you mean `calls`?",
            ),
            (
                v1(r#""transitions": {"brk": {"read": {"calls": -1}}}"#),
                "calls",
                "-1",
                "whole number",
            ),
            (v1(r#""transitions": {"brk": 3}"#), "brk", "3", "list"),
            (v1(r#""transitions": {"brk": ["read", "read"]}"#), "brk", "read", "leave one"),
        ]);
    }

    #[test]
    fn each_mistake_in_the_head_names_its_place_its_value_and_a_hint() {
        assert_problems([
            (
                r#"{"sysfsm": 2, "binary": "/x", "transitions": {}}"#.into(),
                "sysfsm",
                "`2`",
                "version 1",
            ),
            (r#"{"binary": "/x", "transitions": {}}"#.into(), "sysfsm", "missing", "\"sysfsm\": 1"),
            (r#"{"sysfsm": 1, "transitions": {}}"#.into(), "binary", "missing", "absolute path"),
            (
                r#"{"sysfsm": 1, "binary": "", "transitions": {}}"#.into(),
                "binary",
                "no file",
                "absolute path",
            ),
            (
                r#"{"sysfsm": 1, "binary": "*", "transitions": {}}"#.into(),
                "binary",
                "every program",
                "\"cgroup\"",
            ),
            (
                v1(r#""transitions": {}, "cgroup": "system.slice""#),
                "cgroup",
                "system.slice",
                "/sys/fs/cgroup",
            ),
            (
                v1(r#""transitions": {}, "cgroup": "/a/../b""#),
                "cgroup",
                "/a/../b",
                "/sys/fs/cgroup",
            ),
            (v1(r#""transitions": {}, "cgroup": 3"#), "cgroup", "3", "a string"),
            (
                v1(&format!(r#""transitions": {{}}, "cgroup": "{}""#, "/a".repeat(16))),
                "cgroup",
                "16 levels deep, and has 32 bytes",
                "at most 15 levels deep",
            ),
            (
                v1(&format!(r#""transitions": {{}}, "cgroup": "/{}""#, "a".repeat(256))),
                "cgroup",
                "1 levels deep, and has 257 bytes",
                "of 256 bytes",
            ),
            (r#"{"sysfsm": 1, "binary": "/x"}"#.into(), "transitions", "missing", "add"),
            (
                r#"{"binary": "x", "data": {}, "depth": 2}"#.into(),
                "depth",
                "unknown key",
                "binary, data",
            ),
            (r#"{"sysfsm": 1, "#.into(), "line 1", "not JSON", "too early"),
            ("[]".into(), "", "not a list", "format"),
            ("nonsense".into(), "line 1", "not JSON", "format"),
        ]);
    }

    #[test]
    fn all_mistakes_of_a_file_are_told_at_once_but_not_thousands() {
        assert_eq!(
            problems(&v1(
                r#""depth": 12, "action": "x", "transitions": {"execv": ["opnat"], "brk": [1]}"#
            ))
            .len(),
            5
        );
        let many: Vec<String> = (0..500).map(|i| format!("\"no{i}\"")).collect();
        assert_eq!(
            problems(&v1(&format!(r#""transitions": {{"brk": [{}]}}"#, many.join(",")))).len(),
            MAX_PROBLEMS
        );
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let text = "[".repeat(100_000);
        assert!(problems(&text).first().is_some_and(|p| p.what.contains("not JSON")));
    }
}
