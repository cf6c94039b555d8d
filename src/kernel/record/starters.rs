//! Who started the runs of a recording: by program, how many runs each user started, and how many
//! were started in each cgroup (`bpf/starter.h`).

use crate::kernel::bpf::entries::{self, Entries};
use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use crate::kernel::policies::selection::cgroup_key;
use crate::kernel::record::target::Only;
use crate::text::UntrustedText;
use libbpf_rs::MapCore;
use std::collections::BTreeMap;

/// Who started the runs of one program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Starters {
    /// By user id, how many runs that user started.
    pub users: BTreeMap<u32, u64>,
    /// By the path of a cgroup, how many runs were started there.
    pub cgroups: BTreeMap<UntrustedText, u64>,
}

impl Starters {
    /// Adds those of another number of the same program.
    pub(crate) fn add(&mut self, other: Starters) {
        for (user, runs) in other.users {
            *self.users.entry(user).or_default() += runs;
        }
        for (cgroup, runs) in other.cgroups {
            *self.cgroups.entry(cgroup).or_default() += runs;
        }
    }

    /// Whose the program is: of root, if root started a run of it; else of the user who started the
    /// most runs, of several the one with the lowest id.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        const ROOT: u32 = 0;
        if self.users.contains_key(&ROOT) {
            return Some(ROOT);
        }
        let most = self.users.iter().max_by_key(|&(&user, &runs)| (runs, std::cmp::Reverse(user)));
        most.map(|(&user, _)| user)
    }
}

/// The entries of the maps `users` and `cgroups`.
pub(crate) fn chosen(only: &Only) -> (Entries, Entries) {
    let one = || 1_u32.to_ne_bytes().to_vec();
    let users = only.users.iter().map(|user| (user.to_ne_bytes().to_vec(), one()));
    let cgroups = only.cgroups.iter().map(|path| (cgroup_key(path.whole()), one()));
    (users.collect(), cgroups.collect())
}

/// By the number of a program, who started its runs: from the maps `run_users` and `run_cgroups`.
///
/// # Errors
/// A map cannot be read.
pub(crate) fn read(
    run_users: &impl MapCore,
    run_cgroups: &impl MapCore,
) -> Result<BTreeMap<u32, Starters>, KernelError> {
    let mut all: BTreeMap<u32, Starters> = BTreeMap::new();
    for (key, value) in entries::read(run_users, "run_users")? {
        let Some(key) = wire::record::<types::sysfsm_run_user>(&key) else { continue };
        let runs = wire::record::<u64>(&value).unwrap_or_default();
        *all.entry(key.program).or_default().users.entry(key.uid).or_default() += runs;
    }
    for (key, value) in entries::read(run_cgroups, "run_cgroups")? {
        let Some(key) = wire::record::<types::sysfsm_run_cgroup>(&key) else { continue };
        let runs = wire::record::<u64>(&value).unwrap_or_default();
        let names: Vec<u8> = key.path.text.iter().map(|c| c.to_ne_bytes()[0]).collect();
        let path = path(&names, key.cut != 0);
        *all.entry(key.program).or_default().cgroups.entry(path).or_default() += runs;
    }
    Ok(all)
}

/// The path of a cgroup from its names, each with a zero, which go up. Of one that was cut off the
/// highest names are missing.
fn path(names: &[u8], cut: bool) -> UntrustedText {
    let parts: Vec<&[u8]> =
        names.split(|&byte| byte == 0).rev().filter(|name| !name.is_empty()).collect();
    let mut path = if cut { b"...".to_vec() } else { Vec::new() };
    path.push(b'/');
    path.extend(parts.join(&b'/'));
    UntrustedText::from_bytes(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_up_and_a_path_goes_down() {
        assert_eq!(path(b"x.service\0system.slice\0\0\0", false), "/system.slice/x.service");
        assert_eq!(path(b"\0\0", false), "/");
        assert_eq!(path(b"c\0b\0a", true), ".../a/b/c");
    }

    #[test]
    fn the_owner_is_root_or_who_started_most() {
        let owner = |users: &[(u32, u64)]| {
            Starters { users: users.iter().copied().collect(), ..Starters::default() }.owner()
        };
        assert_eq!(owner(&[]), None);
        assert_eq!(owner(&[(1000, 1)]), Some(1000));
        assert_eq!(owner(&[(0, 1), (1000, 500)]), Some(0));
        assert_eq!(owner(&[(33, 5), (1000, 4)]), Some(33));
        assert_eq!(owner(&[(33, 4), (1000, 4)]), Some(33));
    }
}
