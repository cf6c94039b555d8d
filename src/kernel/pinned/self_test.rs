//! The self-test of an enforcement, and what its programs learn by it.

use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::support::self_test::{Mechanism, SelfTest};
use std::mem::{offset_of, size_of};

/// Carries out the self-test of the enforcer or the agent. The programs learn its cgroups, which it
/// may have changed.
///
/// # Errors
/// It cannot be tried.
pub(crate) fn carry_out(
    self_test: &SelfTest,
    data: &Mapped<types::bss>,
) -> Result<Vec<Mechanism>, KernelError> {
    let failing = self_test.failing()?;
    let first = offset_of!(types::bss, enforcer_cgroups);
    for (index, cgroup) in self_test.cgroups().enumerate() {
        data.store(first + index * size_of::<u64>(), cgroup);
    }
    Ok(failing)
}
