//! What a reader of a policy should know.

use crate::cli::io::report;
use crate::policy::Policy;

/// Warns of what a reader of the policy should know.
pub(crate) fn warn_of(policy: &Policy) {
    for warning in policy.warnings() {
        report::warn(
            &warning,
            "prevent io_uring by other means, or do not rely on this policy alone",
        );
    }
}
