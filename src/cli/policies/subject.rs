//! Which policy a JSON object is about.

use crate::policy::Subject;
use serde_json::{json, Value};

/// An object that has the policy's binary, with its cgroup if it has one.
pub(crate) fn with_cgroup(mut object: Value, subject: &Subject) -> Value {
    if let (Some(cgroup), Some(object)) = (&subject.cgroup, object.as_object_mut()) {
        object.insert("cgroup".into(), json!(cgroup));
    }
    object
}
