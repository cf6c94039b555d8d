//! Loading the BPF object of a recording: which programs, with how large maps.

use crate::kernel::bpf::entries;
use crate::kernel::bpf::log;
use crate::kernel::bpf::skeleton::{RecordSkel, RecordSkelBuilder};
use crate::kernel::error::KernelError;
use crate::kernel::hooks::choose;
use crate::kernel::identity::binaries::Identities;
use crate::kernel::identity::maps::{self, borrow_identity_maps, Bound, IdentityMaps};
use crate::kernel::record::learned::{self, borrow_record_maps, RecordMaps, Room};
use crate::kernel::record::target::{RecordOptions, Target};
use crate::kernel::support::preemption::AttachMode;
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use std::mem::MaybeUninit;
/// Loads the object of a recording, with the room that the options ask for.
///
/// # Errors
/// The kernel refuses the programs or a map.
pub(crate) fn load(
    target: &Target,
    options: &RecordOptions,
    identities: &Identities,
    mode: AttachMode,
) -> Result<RecordSkel<'static>, KernelError> {
    /// An event of a new program has more than 8 KiB, so that about 480 may wait to be read.
    const RING_BYTES: u32 = 4 << 20;
    let refused = |cause| KernelError::Load { cause, log: log::take() };
    // The skeleton borrows its object. There is one in a process, so that leaking it costs nothing.
    let object = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open = RecordSkelBuilder::default().open(object).map_err(refused)?;
    let room = Room { transitions: options.room, programs: (options.room / 16).max(4096) };
    if let Some(rodata) = open.maps.rodata_data.as_mut() {
        rodata.preemptible = mode.preemptible();
        rodata.tree = !matches!(target, Target::Binaries(_));
        rodata.only_users = !options.only.users.is_empty();
        rodata.only_cgroups = !options.only.cgroups.is_empty();
        rodata.depth = options.depth.get().into();
        rodata.edge_bits = room.edge_bits();
    }
    choose!(open, mode);
    let all = &mut open.maps;
    maps::resize(&mut borrow_identity_maps!(all, &mut), &Bound::in_order(identities), |entries| {
        entries
    })?;
    learned::resize(&mut borrow_record_maps!(all, &mut), room)?;
    entries::set_room(&mut all.users, "users", options.only.users.len())?;
    entries::set_room(&mut all.cgroups, "cgroups", options.only.cgroups.len())?;
    all.programs.set_max_entries(room.programs).map_err(refused)?;
    all.new_programs.set_max_entries(RING_BYTES).map_err(refused)?;
    open.load().map_err(refused)
}
