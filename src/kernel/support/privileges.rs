//! What every BPF program needs: a privilege, and the kernel's type information.

use crate::kernel::error::KernelError;
use std::fs;
use std::path::Path;

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Demands the right to load tracing programs: `CAP_BPF` and `CAP_PERFMON`, or `CAP_SYS_ADMIN`
/// (capabilities(7)).
///
/// # Errors
/// [`KernelError::Privilege`].
pub(crate) fn require_privilege() -> Result<(), KernelError> {
    const SYS_ADMIN: u64 = 1 << 21;
    const PERFMON_AND_BPF: u64 = 1 << 38 | 1 << 39;
    let status = fs::read_to_string("/proc/self/status").map_err(KernelError::Proc)?;
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

/// Demands the kernel's type information, which CO-RE and BTF tracepoints need.
///
/// # Errors
/// [`KernelError::NoBtf`].
pub(crate) fn require_btf() -> Result<(), KernelError> {
    if Path::new(BTF).exists() {
        Ok(())
    } else {
        Err(KernelError::NoBtf(BTF))
    }
}
