//! The writer: the canonical form. The same policy gives the same bytes.

use crate::machine::Count;
use crate::policy::action::Children;
use crate::policy::definition::Policy;
use crate::text::pretty_json;
use serde_json::{json, Map, Value};

impl Policy {
    /// The policy as a version 1 file: keys sorted, two-space indent, final newline. A context none
    /// of whose transitions was counted is written as a list.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = pretty_json(&self.to_value());
        text.push('\n');
        text
    }

    /// The policy as a JSON value. `serde_json`'s map keeps its keys sorted.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut transitions = Map::new();
        for (context, row) in self.machine.rows() {
            let value = if row.values().all(|c| *c == Count::default()) {
                let mut names: Vec<String> = row.keys().map(ToString::to_string).collect();
                names.sort_unstable();
                json!(names)
            } else {
                let counts: Map<String, Value> = row
                    .iter()
                    .map(|(symbol, count)| {
                        (symbol.to_string(), json!({"calls": count.calls, "runs": count.runs}))
                    })
                    .collect();
                Value::Object(counts)
            };
            transitions.insert(context.to_string(), value);
        }
        let mut file = Map::new();
        file.insert("sysfsm".into(), json!(1));
        file.insert("binary".into(), json!(self.binary));
        if let Some(cgroup) = &self.cgroup {
            file.insert("cgroup".into(), json!(cgroup));
        }
        file.insert("arch".into(), json!("x86_64"));
        file.insert("depth".into(), json!(self.machine.depth().get()));
        file.insert("action".into(), json!(self.action.as_str()));
        if self.children != Children::default() {
            file.insert("children".into(), json!(self.children.as_str()));
        }
        if self.runs > 0 {
            file.insert("runs".into(), json!(self.runs));
        }
        file.insert("transitions".into(), Value::Object(transitions));
        Value::Object(file)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::policy::parse;

    #[test]
    fn the_canonical_form_is_sorted_indented_and_ends_with_a_newline() {
        let text = br#"{"transitions": {"execve": {"mmap": {"runs": 1, "calls": 1}, "brk": {"calls": 4}}, "brk": ["mmap", "access"]}, "sysfsm": 1, "binary": "/usr/bin/cat"}"#;
        let want = r#"{
  "action": "kill",
  "arch": "x86_64",
  "binary": "/usr/bin/cat",
  "depth": 2,
  "sysfsm": 1,
  "transitions": {
    "brk": [
      "access",
      "mmap"
    ],
    "execve": {
      "brk": {
        "calls": 4,
        "runs": 0
      },
      "mmap": {
        "calls": 1,
        "runs": 1
      }
    }
  }
}
"#;
        let written = parse(text).unwrap().to_json();
        assert_eq!(written, want);
        assert_eq!(parse(written.as_bytes()).unwrap().to_json(), written);
    }
}
