//! Which policy is for which binary in which cgroup: the maps that an exec asks.

use crate::kernel::bpf::entries::text;

/// The maps of `bpf/select.h`.
#[derive(Debug)]
pub(crate) struct SelectMaps<M> {
    pub cgroups: M,
    pub selected: M,
}

/// The key of a cgroup's path.
pub(crate) fn cgroup_key(path: &str) -> Vec<u8> {
    let mut key = Vec::new();
    for name in path.split('/').rev().filter(|name| !name.is_empty()) {
        key.extend_from_slice(name.as_bytes());
        key.push(0);
    }
    text(&key)
}
