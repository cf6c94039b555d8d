//! What this kernel offers, found out by trying, not by its version.

use super::enforcer::tracepoints;
use super::inode::Inodes;
use super::skeleton::EnforceSkelBuilder;
use super::{log, KernelError};
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use std::mem::MaybeUninit;
use std::path::Path;

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// A capability, and what was found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was tried.
    pub name: &'static str,
    /// Whether it is there.
    pub found: bool,
    /// What it is for, or what is in the way.
    pub detail: String,
}

/// Tries everything that `enforce` needs at level `kill`, in the order in which it needs it.
#[must_use]
pub fn probe() -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |name, outcome: Result<(), KernelError>, good: &str| {
        let found = outcome.is_ok();
        let detail = outcome.err().map_or_else(|| good.to_string(), |e| e.to_string());
        findings.push(Finding { name, found, detail });
        found
    };
    let privileged = add("privilege", require_privilege(), "may load BPF programs");
    let typed = add("btf", require_btf(), "the kernel describes its types");
    if privileged && typed {
        add(
            "programs",
            load_and_attach(),
            "BTF tracepoints, iterators, task storage, ring buffer and kill by BPF: loaded, attached, taken off again",
        );
    }
    findings
}

/// Loads the programs of `enforce` without a policy, attaches them, and takes them off again.
fn load_and_attach() -> Result<(), KernelError> {
    log::capture();
    let mut object = MaybeUninit::uninit();
    let refused = |cause| KernelError::Load { cause, log: log::take() };
    let mut open = EnforceSkelBuilder::default().open(&mut object).map_err(refused)?;
    // All of the code: the verifier leaves out what these say is not used.
    if let Some(rodata) = open.maps.rodata_data.as_mut() {
        rodata.names_used = true;
        rodata.scripts_used = true;
    }
    let skel = open.load().map_err(refused)?;
    for (program, name) in tracepoints(&skel) {
        let attached = program.attach();
        drop(attached.map_err(|cause| KernelError::Attach { program: name, cause, log: log::take() })?);
    }
    let mut finder = MaybeUninit::uninit();
    let root = Inodes::load(&mut finder)?.of(Path::new("/"))?;
    root.map(drop).map_err(|cause| KernelError::Iterate { program: "handle_open_file", cause })
}

/// Whether the process may load tracing programs: `CAP_BPF` and `CAP_PERFMON`, or `CAP_SYS_ADMIN` (capabilities(7)).
pub(super) fn require_privilege() -> Result<(), KernelError> {
    const SYS_ADMIN: u64 = 1 << 21;
    const PERFMON_AND_BPF: u64 = 1 << 38 | 1 << 39;
    let status = std::fs::read_to_string("/proc/self/status").map_err(KernelError::Proc)?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    if effective & SYS_ADMIN != 0 || effective & PERFMON_AND_BPF == PERFMON_AND_BPF {
        Ok(())
    } else {
        Err(KernelError::Privilege("CAP_BPF and CAP_PERFMON"))
    }
}

/// Whether the kernel has type information, which CO-RE and BTF tracepoints need.
pub(super) fn require_btf() -> Result<(), KernelError> {
    if Path::new(BTF).exists() {
        Ok(())
    } else {
        Err(KernelError::NoBtf(BTF))
    }
}
