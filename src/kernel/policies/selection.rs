//! Which policy is for which binary in which cgroup: the maps that an exec asks.

use crate::kernel::bpf::entries::text;
use crate::kernel::bpf::map_list::map_list;
use crate::kernel::bpf::skeleton::types;

map_list! {
    /// The maps of `bpf/select.h`.
    pub(crate) struct SelectMaps {
        cgroups,
        selected,
    }
}

/// The key of a cgroup's path.
pub(crate) fn cgroup_key(path: &str) -> Vec<u8> {
    let mut key = Vec::new();
    for name in path.split('/').rev().filter(|name| !name.is_empty()) {
        key.extend_from_slice(name.as_bytes());
        key.push(0);
    }
    text::<types::sysfsm_path>(&key)
}
