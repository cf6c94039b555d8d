//! Events as entries of the journal, in its native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>). Each field of an event is a field of its entry:
//! `log_only` is `SYSFSM_LOG_ONLY` (systemd.journal-fields(7)).

use crate::cli::events::event::{Event, Kind};
use serde_json::Value;

/// How much an event matters, as syslog counts.
#[derive(Debug, Clone, Copy)]
enum Priority {
    Critical = 2,
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// By which the journal finds all events of a kind. An id never changes.
fn message_id(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Start => Some("ea7d5b9d92934156b37d5124e63d5ae1"),
        Kind::Reload => Some("e0566ac6734043f2bb4765ce7454fd59"),
        Kind::ReloadRefused => Some("1e1d502e46f841dbbaa20102ab8feb12"),
        Kind::Violation => Some("2bfc3e960bda4f60abf432164f0c9674"),
        Kind::Repeated => Some("9d74a04c87f24be6b61ad2e36a5fd0cb"),
        Kind::Leave => Some("69a421a3f73c42089a364e2fa6b6f246"),
        Kind::Stop => Some("34b5e653466e4df1a2cee2a830b5471f"),
        Kind::AlarmRaised => Some("4a8cb8e5dd4b4d34876b48bc7b64056f"),
        Kind::AlarmCleared => Some("df33498c39e042f49b4b1d040e669748"),
        _ => None,
    }
}

fn priority(event: &Event) -> Priority {
    let kill_failed = |(name, value): &(&str, Value)| *name == "kill_failed" && *value == true;
    match event.kind {
        Kind::Violation if event.fields.iter().any(kill_failed) => Priority::Critical,
        Kind::AlarmRaised => Priority::Critical,
        Kind::ReloadRefused | Kind::Error => Priority::Error,
        Kind::Violation | Kind::Repeated | Kind::Warning => Priority::Warning,
        _ => Priority::Info,
    }
}

/// The entry of an event, in the form in which it is sent.
pub(crate) fn entry(event: &Event) -> Vec<u8> {
    let mut entry = Vec::new();
    field(&mut entry, "MESSAGE", &event.lines.join("; "));
    if let Some(id) = message_id(event.kind) {
        field(&mut entry, "MESSAGE_ID", id);
    }
    field(&mut entry, "PRIORITY", &(priority(event) as u8).to_string());
    field(&mut entry, "SYSLOG_IDENTIFIER", "sysfsm");
    field(&mut entry, "SYSFSM_EVENT", event.kind.as_str());
    for (name, value) in &event.fields {
        value_field(&mut entry, name, value);
    }
    entry
}

fn value_field(entry: &mut Vec<u8>, name: &str, value: &Value) {
    let name_in_capitals = || format!("SYSFSM_{}", name.to_ascii_uppercase());
    let text = match value {
        Value::Null => return,
        Value::Bool(yes) => u8::from(*yes).to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_string);
            list.iter().map(text).collect::<Vec<_>>().join(" ")
        }
        // The totals: each is a field of its own.
        Value::Object(fields) => {
            return fields.iter().for_each(|(name, value)| value_field(entry, name, value));
        }
    };
    field(entry, &name_in_capitals(), &text);
}

/// Adds a field. Its name has capital letters, digits and underscores only.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend(name.as_bytes());
    if value.contains('\n') {
        // A line's end does not end such a value: its length comes first.
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_several_lines_says_how_long_it_is() {
        let event = Event::new(Kind::Leave)
            .with("comm", "a=b\nPRIORITY=0")
            .with("pid", 7)
            .with("cgroup", Value::Null)
            .with("context", vec!["brk", "mmap"])
            .with("totals", serde_json::json!({"judged": 3}))
            .saying("one\ntwo");
        let want = [
            b"MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\n".as_slice(),
            b"MESSAGE_ID=69a421a3f73c42089a364e2fa6b6f246\nPRIORITY=6\nSYSLOG_IDENTIFIER=sysfsm\n",
            b"SYSFSM_EVENT=leave\nSYSFSM_COMM\n\x0e\0\0\0\0\0\0\0a=b\nPRIORITY=0\nSYSFSM_PID=7\n",
            b"SYSFSM_CONTEXT=brk mmap\nSYSFSM_JUDGED=3\n",
        ];
        assert_eq!(
            String::from_utf8_lossy(&entry(&event)),
            String::from_utf8_lossy(&want.concat())
        );
    }

    #[test]
    fn an_alarm_is_critical_and_its_end_is_not() {
        for (kind, number) in [(Kind::AlarmRaised, "2"), (Kind::AlarmCleared, "6")] {
            let entry = String::from_utf8_lossy(&entry(&Event::new(kind))).into_owned();
            assert!(entry.contains(&format!("\nPRIORITY={number}\n")), "{entry}");
            assert!(entry.contains("MESSAGE_ID=") && entry.contains("SYSFSM_EVENT=alarm\n"));
        }
    }

    #[test]
    fn a_process_that_could_not_be_killed_is_critical() {
        for (failed, number) in [(true, "2"), (false, "4")] {
            let event = Event::new(Kind::Violation).with("kill_failed", failed);
            let entry = String::from_utf8_lossy(&entry(&event)).into_owned();
            assert!(entry.contains(&format!("\nPRIORITY={number}\n")), "{entry}");
        }
    }
}
