//! The JSON of rust-vmm's seccompiler, with one filter, `main`.

use super::calls::Calls;
use crate::policy::Action;
use serde_json::{json, Value};

/// EPERM, as a denied call fails.
const EPERM: u32 = 1;

pub(super) fn write(action: Action, calls: &Calls) -> String {
    let mismatch = match action {
        Action::Kill => json!("kill_process"),
        Action::Deny => json!({"errno": EPERM}),
        Action::Log => json!("log"),
    };
    let rules: Vec<Value> = calls.all().into_iter().map(|name| json!({"syscall": name})).collect();
    let filters =
        json!({"main": {"mismatch_action": mismatch, "match_action": "allow", "filter": rules}});
    let mut text = crate::text::pretty_json(&filters);
    text.push('\n');
    text
}
