//! Which policy a JSON object is about.

use crate::policy::PolicySelector;
use serde_json::{json, Value};

/// Adds the cgroup of the policy that an object is about, if that policy has one.
pub(crate) fn with_cgroup(mut object: Value, selector: &PolicySelector) -> Value {
    if let (Some(cgroup), Some(object)) = (&selector.cgroup, object.as_object_mut()) {
        object.insert("cgroup".into(), json!(cgroup));
    }
    object
}
