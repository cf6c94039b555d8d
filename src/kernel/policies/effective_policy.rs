//! Whether a level can keep what policies demand.

use crate::kernel::error::KernelError;
use crate::kernel::level::Level;
use crate::kernel::lsm::enforcement_points::ENFORCEMENT_POINTS;
use crate::kernel::options::Options;
use crate::kernel::policies::fill::EffectivePolicy;
use crate::policy::{Action, Policy};
use crate::syscall;
use crate::table::CALLS;

/// Refuses a level below what the user demands.
pub(crate) fn require(reached: Level, required: Option<Level>) -> Result<(), KernelError> {
    match required {
        Some(required) if required > reached => Err(KernelError::Level { reached, required }),
        _ => Ok(()),
    }
}

/// A policy's terms.
pub(crate) fn effective_policy(policy: &Policy, log_only: bool, complain: bool) -> EffectivePolicy {
    let action = if log_only { Action::Log } else { policy.action };
    EffectivePolicy {
        action,
        children: policy.children,
        complain: complain && action == Action::Log,
    }
}

/// The policies' terms, if this level can keep them: all that it cannot, in one go.
pub(crate) fn effective_policies(
    policies: &[Policy],
    options: Options,
    reached: Level,
) -> Result<Vec<EffectivePolicy>, KernelError> {
    let mut problems = Vec::new();
    let effective = policies
        .iter()
        .map(|policy| {
            let effective = effective_policy(policy, options.log_only, options.complain);
            if effective.action == Action::Deny {
                problems.extend(denial_problem(&policy.binary, reached, options.require));
            }
            effective
        })
        .collect();
    if problems.is_empty() {
        Ok(effective)
    } else {
        Err(KernelError::Bind(problems))
    }
}

/// Why calls cannot be denied at this level, and what to do about it.
fn denial_problem(
    binary: &str,
    reached: Level,
    required: Option<Level>,
) -> Option<(String, String)> {
    match reached {
        Level::Prevent => None,
        Level::Contain if required.is_some() => None,
        Level::Contain => {
            let (count, some) = unguarded();
            Some((
                format!(
                    "the policy for `{binary}` says `deny`, and level `contain` cannot refuse {count} calls that no LSM \
                     hook guards ({some} …)"
                ),
                "`--require contain` accepts it knowingly: for such a call the process is killed; Linux 7.1 reaches \
                 `prevent`"
                    .into(),
            ))
        }
        Level::Kill => Some((
            format!("the policy for `{binary}` says `deny`, which needs a veto: level `kill` has none"),
            "say \"action\": \"kill\", or only watch with --log-only; `sysfsm doctor` tells what a veto needs".into(),
        )),
    }
}

/// Of the calls in the table how many no hook refuses, and the first few.
fn unguarded() -> (usize, String) {
    let guarded = |name: &&str| {
        ENFORCEMENT_POINTS.iter().any(|c| c.calls.split_whitespace().any(|call| call == *name))
    };
    let calls: Vec<&str> =
        (0..CALLS).filter_map(syscall::name).filter(|name| !guarded(name)).collect();
    (calls.len(), calls.get(..4).unwrap_or(&calls).join(", "))
}
