//! Programs that are tried on this kernel, one at a time (`bpf/probe.bpf.c`).

use crate::kernel::bpf::log;
use crate::kernel::bpf::skeleton::{OpenProbeSkel, ProbeSkelBuilder};
use crate::kernel::error::KernelError;
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::OpenProgramMut;
use std::mem::MaybeUninit;

/// The index of the program that denies, in [`programs`].
pub(crate) const VETO: usize = 5;

/// Tries a program on the classic tracepoint of system calls.
///
/// # Errors
/// It cannot be loaded or attached, for want of tracefs, say.
pub(crate) fn classic() -> Result<(), KernelError> {
    load_and_attach(4)
}

/// The programs of `bpf/probe.bpf.c`, in the order of their indices.
pub(crate) fn programs<'a, 'obj>(
    open: &'a mut OpenProbeSkel<'obj>,
) -> [&'a mut OpenProgramMut<'obj>; 6] {
    let programs = &mut open.progs;
    [
        &mut programs.try_tracepoint,
        &mut programs.try_storage,
        &mut programs.try_ring,
        &mut programs.try_kill,
        &mut programs.try_classic,
        &mut programs.try_veto,
    ]
}

/// Loads the program with this index and the maps that it needs, attaches it, and detaches it.
///
/// # Errors
/// The kernel refuses to load or attach it.
pub(crate) fn load_and_attach(only: usize) -> Result<(), KernelError> {
    let refused = |cause| KernelError::Load { cause, log: log::take() };
    let mut object = MaybeUninit::uninit();
    let mut open = ProbeSkelBuilder::default().open(&mut object).map_err(refused)?;
    for (index, program) in programs(&mut open).into_iter().enumerate() {
        program.set_autoload(index == only);
    }
    open.maps.storage.set_autocreate(only == 1).map_err(refused)?;
    open.maps.ring.set_autocreate(only == 2).map_err(refused)?;
    let skel = open.load().map_err(refused)?;
    let programs = [
        &skel.progs.try_tracepoint,
        &skel.progs.try_storage,
        &skel.progs.try_ring,
        &skel.progs.try_kill,
        &skel.progs.try_classic,
    ];
    if let Some(program) = programs.get(only) {
        let attached = program.attach();
        drop(attached.map_err(|cause| KernelError::Attach {
            program: "handle_sys_enter",
            cause,
            log: log::take(),
        })?);
    }
    Ok(())
}
