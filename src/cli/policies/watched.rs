//! What is watched, by policy.

use crate::kernel::{Manifest, Watched};
use crate::policy::PolicySelector;
use std::collections::{BTreeMap, BTreeSet};

/// Processes and threads that are watched under one policy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Under {
    pub processes: BTreeSet<u32>,
    pub threads: usize,
}

/// What is watched, by policy: also of those that others have replaced, whose threads move when
/// they make a call.
pub(crate) fn by_policy(
    watched: &[Watched],
    manifest: &Manifest,
) -> BTreeMap<PolicySelector, Under> {
    let subjects = manifest.selectors();
    let enforced = manifest.policies().filter_map(|number| subjects.get(&number));
    let mut all: BTreeMap<PolicySelector, Under> =
        enforced.map(|subject| (subject.clone(), Under::default())).collect();
    for thread in watched {
        let Some(subject) = subjects.get(&thread.policy) else { continue };
        let under = all.entry(subject.clone()).or_default();
        under.processes.insert(thread.pid);
        under.threads += 1;
    }
    all
}
