//! What a policy demands besides its machine, under the options of this enforcement.

use crate::policy::{Action, Children, Policy};

/// What the kernel is to do for a policy besides judging by its machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EffectivePolicy {
    /// What is done on a violation.
    pub action: Action,
    /// Whether the policy stays with a thread over an exec of another binary.
    pub children: Children,
    /// Under [`Action::Log`]: an event says all that the machine lacks, so that it can be extended.
    pub complain: bool,
}

impl EffectivePolicy {
    /// A policy under the options `log_only` (the action is [`Action::Log`], whatever the policy
    /// says) and `complain`.
    #[must_use]
    pub fn of(policy: &Policy, log_only: bool, complain: bool) -> Self {
        let action = if log_only { Action::Log } else { policy.action };
        EffectivePolicy {
            action,
            children: policy.children,
            complain: complain && action == Action::Log,
        }
    }
}
