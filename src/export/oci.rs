//! An OCI seccomp profile: `linux.seccomp` of the runtime specification, which is also what `docker
//! run --security-opt seccomp=FILE` takes.

use super::calls::Calls;
use crate::policy::Action;
use serde_json::{json, Value};
use std::collections::BTreeSet;

/// EPERM, as a denied call fails.
const EPERM: u32 = 1;

pub(super) fn write(action: Action, calls: &Calls) -> String {
    let default = match action {
        Action::Kill => "SCMP_ACT_KILL_PROCESS",
        Action::Deny => "SCMP_ACT_ERRNO",
        Action::Log => "SCMP_ACT_LOG",
    };
    // What the policy allows, and what only the runtime and the kernel need, stay apart for the
    // reader.
    let allowed: Vec<Value> = [&calls.known, &calls.added].into_iter().filter_map(allow).collect();
    let mut profile = json!({
        "defaultAction": default,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": allowed,
    });
    if let (Action::Deny, Some(profile)) = (action, profile.as_object_mut()) {
        profile.insert("defaultErrnoRet".into(), json!(EPERM));
    }
    let mut text = crate::text::pretty_json(&profile);
    text.push('\n');
    text
}

/// The specification wants at least one name in a rule.
fn allow(names: &BTreeSet<&'static str>) -> Option<Value> {
    (!names.is_empty()).then(|| json!({"names": names, "action": "SCMP_ACT_ALLOW"}))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn profile(action: Action, known: &[&'static str]) -> Value {
        let calls = Calls {
            known: known.iter().copied().collect(),
            added: ["exit"].into(),
            unsupported: BTreeSet::new(),
        };
        serde_json::from_str(&write(action, &calls)).unwrap()
    }

    #[test]
    fn the_action_is_what_happens_to_all_other_calls() {
        for (action, name, errno) in [
            (Action::Kill, "SCMP_ACT_KILL_PROCESS", Value::Null),
            (Action::Deny, "SCMP_ACT_ERRNO", json!(1)),
            (Action::Log, "SCMP_ACT_LOG", Value::Null),
        ] {
            let profile = profile(action, &["read"]);
            assert_eq!(
                (&profile["defaultAction"], &profile["defaultErrnoRet"]),
                (&json!(name), &errno)
            );
        }
    }

    #[test]
    fn names_are_sorted_and_no_rule_is_empty() {
        let two = profile(Action::Kill, &["write", "brk", "read"]);
        assert_eq!(two["syscalls"][0]["names"], json!(["brk", "read", "write"]));
        assert_eq!(two["syscalls"][1]["names"], json!(["exit"]));
        assert_eq!(profile(Action::Kill, &[])["syscalls"].as_array().unwrap().len(), 1);
    }
}
