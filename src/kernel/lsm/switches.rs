//! The files of the kernel by which enforcement, or the enforcer, can be turned off. Watched
//! threads are kept from writing to them (`bpf/switches.h`).
//!
//! Whole file systems, the enforcer's own files in `/proc`, and what the kernel asks its lockdown
//! about are in `bpf/switches.h`. This is the list of the other files, by their names.

use crate::kernel::bpf::entries::{self, Entries};
use crate::kernel::bpf::skeleton::types::{self, sysfsm_file_system as FileSystem};
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use libbpf_rs::MapCore;

/// Files of one directory, or those of one name in many.
struct Switches {
    file_system: FileSystem,
    /// The last name of the directory, `/` for the root of the file system; empty for a cgroup's
    /// files, which are in any directory.
    directory: &'static str,
    /// The files, separated by blanks. None: all files of the directories in this directory.
    files: &'static str,
}

const PROC: FileSystem = FileSystem::SYSFSM_PROC_FS;
const SYSFS: FileSystem = FileSystem::SYSFSM_SYS_FS;
const SECURITYFS: FileSystem = FileSystem::SYSFSM_SECURITY_FS;
const CGROUP: FileSystem = FileSystem::SYSFSM_CGROUP_FS;
const CGROUP2: FileSystem = FileSystem::SYSFSM_CGROUP2_FS;

/// The list. docs/threat-model.md has it too.
const SWITCHES: &[Switches] = &[
    // Of what is in /proc/sys/kernel:
    Switches {
        file_system: PROC,
        directory: "kernel",
        // All programs on functions and hooks; SysRq; programs that the kernel runs, as root and
        // unwatched, when it needs a module, dumps core, sees a device or is switched off; what
        // makes BPF programs slower, and lets everybody load some; what makes a fault of the kernel
        // stop the machine.
        files: "ftrace_enabled sysrq modprobe core_pattern hotplug poweroff_cmd \
                bpf_stats_enabled unprivileged_bpf_disabled \
                panic panic_on_oops panic_on_warn panic_on_rcu_stall panic_on_io_nmi \
                panic_on_unrecovered_nmi unknown_nmi_panic hung_task_panic softlockup_panic \
                hardlockup_panic oops_limit warn_limit",
    },
    // What the programs that the kernel runs may do.
    Switches { file_system: PROC, directory: "usermodehelper", files: "bset inheritable" },
    // /proc/sys/net/core: without them no program is loaded at the next start.
    Switches { file_system: PROC, directory: "core", files: "bpf_jit_enable bpf_jit_limit" },
    Switches { file_system: PROC, directory: "vm", files: "panic_on_oom" },
    Switches { file_system: PROC, directory: "/", files: "sysrq-trigger" },
    // A program that the kernel runs when it sees a device.
    Switches { file_system: SYSFS, directory: "kernel", files: "uevent_helper" },
    // /sys/kernel/livepatch/PATCH/enabled and the files beside it.
    Switches { file_system: SYSFS, directory: "livepatch", files: "" },
    // `confidentiality` here lets no BPF program read the kernel's memory any more.
    Switches { file_system: SECURITYFS, directory: "/", files: "lockdown" },
    // A profile may keep the next enforcer from what it needs.
    Switches { file_system: SECURITYFS, directory: "apparmor", files: ".load .replace .remove" },
    // Of the enforcer's cgroup and of those above it.
    Switches {
        file_system: CGROUP2,
        directory: "",
        files: "cgroup.freeze cgroup.kill memory.max memory.high memory.swap.max pids.max cpu.max \
                cpu.weight cpu.idle cpuset.cpus",
    },
    // A program that the kernel runs when a cgroup of version 1 gets empty.
    Switches { file_system: CGROUP, directory: "", files: "release_agent" },
];

/// Tells the programs which files are switches.
///
/// # Errors
/// The map cannot be filled.
pub(crate) fn fill(map: &impl MapCore) -> Result<(), KernelError> {
    let all: Entries = keys().map(|key| (wire::bytes(&key).to_vec(), vec![1])).collect();
    entries::fill(map, "switches", &all)
}

/// The keys of the map.
fn keys() -> impl Iterator<Item = types::sysfsm_switch> {
    SWITCHES.iter().flat_map(|switches| {
        // Of an empty list too there is one name: the empty one.
        let names = switches.files.split_ascii_whitespace();
        let all = switches.files.is_empty().then_some("");
        names.chain(all).map(|name| types::sysfsm_switch {
            file_system: switches.file_system.0.into(),
            directory: padded(switches.directory),
            name: padded(name),
        })
    })
}

/// A name with zeros behind it.
fn padded<const N: usize>(name: &str) -> [i8; N] {
    let mut padded = [0; N];
    padded.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from.cast_signed());
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_switch_is_named_once_and_in_whole() {
        let keys: Vec<_> = keys().collect();
        let bytes: std::collections::BTreeSet<Vec<u8>> =
            keys.iter().map(|key| wire::bytes(key).to_vec()).collect();
        assert_eq!(bytes.len(), keys.len());
        // A name has its zero.
        assert!(keys
            .iter()
            .all(|key| key.name.last() == Some(&0) && key.directory.last() == Some(&0)));
        assert!(keys.len() <= 128, "the map has no room");
    }
}
