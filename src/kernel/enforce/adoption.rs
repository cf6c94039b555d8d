//! Running processes come under the policies of an enforcement.

use crate::kernel::adopt::Adoption;
use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::identity::binaries::Identities;
use crate::kernel::identity::inode::Inodes;
use crate::kernel::identity::processes::candidates;
use crate::kernel::policies::maps::Maps;
use crate::kernel::policies::policy_set::PolicySet;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;

/// Brings running threads under their policies. `link` is that of the program that adopts.
///
/// The hooks must be attached, so that no process is missed: one that was there before and neither
/// forks nor execs is found by its id; a child comes under its policy at its birth, if its creator
/// is not watched yet (`bpf/enforce.bpf.c`, `sysfsm_adopt_child`); an exec is bound by its hook.
///
/// # Errors
/// Those of [`Adoption::repeat`], or processes cannot be read.
pub(crate) fn adopt(
    link: BorrowedFd<'_>,
    maps: &Maps,
    policy_set: &PolicySet,
    identities: &Identities,
    inodes: &mut Inodes<'_>,
) -> Result<(), KernelError> {
    let at_birth = || maps.data.load(offset_of!(types::bss, children_adopted));
    let adoption = Adoption {
        link,
        adoptees: &maps.service.adoptees,
        counters: &maps.service.counters,
        at_birth: &at_birth,
    };
    let _births = Flag::set(&maps.data, offset_of!(types::bss, adopting));
    let numbers = policy_set.numbers();
    adoption.repeat(|| candidates(identities, inodes, policy_set.binds_any(), &numbers)).map(drop)
}

/// A variable of the BPF object that is 1 while this value lives, and 0 then.
pub(crate) struct Flag<'a> {
    data: &'a Mapped<types::bss>,
    offset: usize,
}

impl<'a> Flag<'a> {
    /// Sets the variable, which has 32 bits.
    pub(crate) fn set(data: &'a Mapped<types::bss>, offset: usize) -> Self {
        data.store(offset, 1_u32);
        Flag { data, offset }
    }
}

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.data.store(self.offset, 0_u32);
    }
}
