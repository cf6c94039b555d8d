//! What is watched, by policy.

use crate::kernel::{Manifest, Named, Watched};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn named((binary, cgroup): (&str, Option<&str>)) -> Named {
    (binary.into(), cgroup.map(String::from))
}

/// Processes and threads that are watched under one policy.
#[derive(Debug, Clone, Default)]
pub(super) struct Under {
    pub processes: BTreeSet<u32>,
    pub threads: usize,
}

/// What is watched, by policy: also of those that others have replaced, whose threads move when they make a call.
pub(super) fn by_policy(watched: &[Watched], manifest: &Manifest) -> BTreeMap<Named, Under> {
    let names = manifest.names();
    let enforced = manifest.policies().filter_map(|number| names.get(&number));
    let mut all: BTreeMap<Named, Under> = enforced.map(|name| (named(*name), Under::default())).collect();
    for thread in watched {
        let Some(name) = names.get(&thread.policy) else { continue };
        let under = all.entry(named(*name)).or_default();
        under.processes.insert(thread.pid);
        under.threads += 1;
    }
    all
}
