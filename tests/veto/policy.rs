//! The policy that every attack violates: it lacks what follows the marker, and nothing else.

use serde_json::{json, Map, Value};
use std::path::Path;
use sysfsm::syscall::name;

/// Past the last number of the 64-bit table.
const NUMBERS: u32 = 1024;

/// After `getpriority` there may be `getpgid`; after any other call, any call.
pub fn all_but_after_the_marker(binary: &Path, action: &str) -> Value {
    let names: Vec<&str> = (0..NUMBERS).filter_map(name).collect();
    let contexts: Map<String, Value> = names
        .iter()
        .map(|&context| {
            let next = if context == "getpriority" { json!(["getpgid"]) } else { json!(names) };
            (context.to_string(), next)
        })
        .collect();
    json!({"sysfsm": 1, "binary": binary, "depth": 2, "action": action, "transitions": contexts})
}
