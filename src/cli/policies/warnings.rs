//! What a reader of a policy should know.

use crate::cli::io::report;
use crate::policy::Policy;
use serde_json::Value;

/// What to do about any of a policy's warnings.
const HINT: &str = "prevent io_uring by other means, or do not rely on this policy alone";

/// Warns of what a reader of the policy should know.
pub(crate) fn warn_of(policy: &Policy) {
    for warning in policy.warnings() {
        report::warn(&warning, HINT);
    }
}

/// The values of `warnings` in JSON.
pub(crate) fn json(policy: &Policy) -> Vec<Value> {
    policy.warnings().iter().map(|what| report::warning(what, HINT)).collect()
}
