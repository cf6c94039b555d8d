//! Loading the BPF object of an enforcement: which programs, with how large maps.

use crate::kernel::bpf::entries;
use crate::kernel::bpf::log;
use crate::kernel::bpf::skeleton::{types, EnforceSkel, EnforceSkelBuilder, OpenEnforceSkel};
use crate::kernel::bpf::uncharged::{memory_limit, Creating};
use crate::kernel::error::KernelError;
use crate::kernel::hooks::choose;
use crate::kernel::identity::maps::{self, borrow_identity_maps, Bound, IdentityMaps};
use crate::kernel::level::Level;
use crate::kernel::options::Options;
use crate::kernel::pinned::predecessor::Predecessor;
use crate::kernel::policies::sizes::Sizes;
use crate::kernel::policies::step_maps::{self, borrow_step_maps, StepMaps};
use crate::kernel::support::preemption::AttachMode;
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use std::mem::{size_of, MaybeUninit};
use std::os::fd::AsFd as _;

/// Loads the object. Its maps have the room that is needed; if it is to be pinned, they have room
/// for policies that come later, too. `before` is the set that it replaces.
pub(crate) fn load(
    options: Options,
    level: Level,
    sizes: Sizes,
    bound: &Bound,
    before: Option<&Predecessor>,
) -> Result<EnforceSkel<'static>, KernelError> {
    let refused = |cause| KernelError::Load { cause, log: log::take() };
    let uncharged = Creating::begin(c"watched_threads", size_of::<types::sysfsm_thread>());
    let mode = attach_mode(options);
    // The skeleton borrows its object. There is one in a process, so that leaking it costs nothing.
    let object = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open = EnforceSkelBuilder::default().open(object).map_err(refused)?;
    if let Some(rodata) = open.maps.rodata_data.as_mut() {
        rodata.fallbacks_only = options.fallbacks_only;
        rodata.preemptible = mode.preemptible();
        rodata.complain = options.complain;
        rodata.kill_families = level == Level::Kill;
        rodata.full_events = options.full_events;
        rodata.denials_at_most = options.denials.at_most();
        rodata.denials_within = options.denials.within().as_nanos().try_into().unwrap_or(u64::MAX);
        rodata.simulate_missed_nr =
            options.simulate_missed_nr.unwrap_or(types::sysfsm_marker::SYSFSM_NO_CALL.0);
    }
    choose_programs(&mut open, mode, level, judges_at_hook(options, mode), options.pinned);
    let all = &mut open.maps;
    let roomy = if options.pinned { sizes.with_room() } else { sizes };
    step_maps::resize(&mut borrow_step_maps!(all, &mut), &roomy)?;
    let calls = roomy.policies * types::sysfsm_limit::SYSFSM_CALL_COUNTS.0 as usize;
    entries::set_room(&mut all.call_counts, "call_counts", calls)?;
    entries::set_room(&mut all.calls_reported, "calls_reported", calls)?;
    let room = |entries: usize| if options.pinned { entries + entries.max(1024) } else { entries };
    maps::resize(&mut borrow_identity_maps!(all, &mut), bound, room)?;
    entries::set_room(&mut all.selected, "selected", room(sizes.policies))?;
    entries::set_room(&mut all.cgroups, "cgroups", room(sizes.policies))?;
    all.events.set_max_entries(options.ring_bytes).map_err(refused)?;
    match uncharged.and_then(Creating::finish) {
        Ok(map) => all.watched_threads.reuse_fd(map.as_fd()).map_err(refused)?,
        Err(error) => {
            tracing::debug!(
                "the states of watched threads count as this process's memory: {error}"
            );
            if let Some(limit) = memory_limit() {
                tracing::warn!(
                    "the states of watched threads, 2 KiB each, count against the memory limit of \
                     {} MiB that this process is under: a program that makes many threads can fill \
                     it (hint: set no memory limit here, and limit the threads of the program)",
                    limit >> 20
                );
            }
        }
    }
    if let Some(before) = before {
        all.watched_threads_before.reuse_fd(before.threads.as_fd()).map_err(refused)?;
        all.fallback_states_before.reuse_fd(before.fallbacks.as_fd()).map_err(refused)?;
        entries::set_room(&mut all.binaries_before, "binaries_before", before.policies())?;
    }
    if !options.complain {
        all.sampled.set_max_entries(1).map_err(refused)?;
    }
    open.load().map_err(refused)
}

/// How the programs are attached at the tracepoints.
pub(crate) fn attach_mode(options: Options) -> AttachMode {
    AttachMode::find(options.simulate_missed_nr.is_some())
}

/// Whether calls may have to be judged at the enforcement points, since programs at `sys_enter` may
/// have missed them.
pub(crate) fn judges_at_hook(options: Options, mode: AttachMode) -> bool {
    mode == AttachMode::Dual || options.simulate_missed_nr.is_some()
}

/// Leaves out the programs that are for other kernels and other levels: each program takes its time
/// at the start.
fn choose_programs(
    open: &mut OpenEnforceSkel<'_>,
    mode: AttachMode,
    level: Level,
    judge_at_hook: bool,
    pinned: bool,
) {
    choose!(open, mode);
    open.progs.handle_watched.set_autoload(pinned);
    let programs = &mut open.progs;
    programs.veto.set_autoload(level > Level::Kill && !judge_at_hook);
    programs.veto_judging.set_autoload(level > Level::Kill && judge_at_hook);
    programs.veto_write.set_autoload(level > Level::Kill && !judge_at_hook);
    programs.veto_write_judging.set_autoload(level > Level::Kill && judge_at_hook);
    for template in [
        &mut programs.veto_capability,
        &mut programs.veto_key,
        &mut programs.protect_task,
        &mut programs.protect_owner,
        &mut programs.protect_bpf,
        &mut programs.protect_pins,
        &mut programs.protect_mount,
        &mut programs.protect_lockdown,
        &mut programs.protect_load_data,
        &mut programs.protect_read_file,
    ] {
        template.set_autoload(level > Level::Kill);
    }
}
