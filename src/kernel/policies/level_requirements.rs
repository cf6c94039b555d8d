//! Whether the level that a kernel reaches is enough for what the policies demand.

use crate::kernel::error::KernelError;
use crate::kernel::level::Level;
use crate::kernel::lsm::enforcement_points::ENFORCEMENT_POINTS;
use crate::kernel::options::Options;
use crate::kernel::policies::effective_policy::EffectivePolicy;
use crate::policy::{Action, Policy};
use crate::syscall;
use crate::table::CALLS;
use crate::text::UntrustedText;

/// Refuses a level below the required one.
///
/// # Errors
/// [`KernelError::Level`].
pub(crate) fn require(reached: Level, required: Option<Level>) -> Result<(), KernelError> {
    match required {
        Some(required) if required > reached => Err(KernelError::Level { reached, required }),
        _ => Ok(()),
    }
}

/// The policies under these options, in their order, if this level is enough for each of them.
///
/// # Errors
/// [`KernelError::Bind`] with every policy for which the level is not enough.
pub(crate) fn effective_policies(
    policies: &[Policy],
    options: Options,
    reached: Level,
) -> Result<Vec<EffectivePolicy>, KernelError> {
    let mut problems = Vec::new();
    let effective = policies
        .iter()
        .map(|policy| {
            let effective = EffectivePolicy::of(policy, options.log_only, options.complain);
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

/// Why the level is not enough for `deny`: a message and a hint; `None` if it is enough.
fn denial_problem(
    binary: &UntrustedText,
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

/// How many calls no LSM hook refuses, and the names of the first four.
fn unguarded() -> (usize, String) {
    let guarded = |name: &&str| {
        ENFORCEMENT_POINTS.iter().any(|c| c.calls.split_whitespace().any(|call| call == *name))
    };
    let calls: Vec<&str> =
        (0..CALLS).filter_map(syscall::name).filter(|name| !guarded(name)).collect();
    (calls.len(), calls.get(..4).unwrap_or(&calls).join(", "))
}
