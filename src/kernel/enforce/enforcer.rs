//! Enforcement, from the policies to the attached programs and back.

use crate::kernel::adopt::Adoption;
use crate::kernel::bpf::entries::{self, put};
use crate::kernel::bpf::log;
use crate::kernel::bpf::map_list::of_object;
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::{types, EnforceSkel, EnforceSkelBuilder, OpenEnforceSkel};
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::{EventMaps, Repeated};
use crate::kernel::events::stream::{CounterReader, EventStream};
use crate::kernel::events::totals::Totals;
use crate::kernel::events::violation::EventReader;
use crate::kernel::events::violation::Violation;
use crate::kernel::hooks::{choose, tracepoints, Hooks};
use crate::kernel::identity::binaries::{identify, Identities};
use crate::kernel::identity::inode::Inodes;
use crate::kernel::identity::maps::{self as bind, Bound, IdentityMaps};
use crate::kernel::identity::processes::{candidates, Watched};
use crate::kernel::level::Level;
use crate::kernel::lsm::attach::Vetoes;
use crate::kernel::options::Options;
use crate::kernel::pinned::manifest::{Manifest, Reached};
use crate::kernel::pinned::pins::{Set, MANIFEST};
use crate::kernel::policies::level_requirements::{effective_policies, require};
use crate::kernel::policies::maps::Maps;
use crate::kernel::policies::policy_set::PolicySet;
use crate::kernel::policies::sizes::Sizes;
use crate::kernel::policies::step_maps::{self, StepMaps};
use crate::kernel::support::deny_mechanisms::DenyMechanisms;
use crate::kernel::support::preemption::AttachMode;
use crate::kernel::support::privileges::{require_btf, require_privilege};
use crate::policy::Policy;
use libbpf_rs::skel::{OpenSkel as _, Skel as _, SkelBuilder as _};
use libbpf_rs::ProgramImpl;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::Duration;

/// Policies in the kernel. Dropping it detaches everything.
pub struct Enforcer {
    skel: EnforceSkel<'static>,
    hooks: Hooks,
    vetoes: Vetoes,
    maps: Maps,
    stream: EventStream,
    counter_reader: CounterReader,
    policy_set: PolicySet,
}

impl Enforcer {
    /// Loads policies into the kernel and attaches the programs: from then on every exec of a bound
    /// binary is watched. All of them, or an error and none.
    ///
    /// # Errors
    /// What is missing, on this machine or in a policy.
    pub fn start(policies: &[Policy], options: Options) -> Result<Self, KernelError> {
        Enforcer::start_after(policies, options, &|_| Ok(Watched::new()))
    }

    /// The same, where something is enforced already: `watched` looks at what that watches now.
    pub(crate) fn start_after(
        policies: &[Policy],
        options: Options,
        watched: &dyn Fn(&PolicySet) -> Result<Watched, KernelError>,
    ) -> Result<Self, KernelError> {
        require_privilege()?;
        require_btf()?;
        log::capture();
        let mut finder = MaybeUninit::uninit();
        let mut inodes = Inodes::load(&mut finder)?;
        let mechanisms = match options.at_most {
            Level::Kill => DenyMechanisms::untried(),
            _ => DenyMechanisms::find(&inodes)?,
        };
        let hoped = mechanisms.level().min(options.at_most);
        require(hoped, options.require)?;
        let effective = effective_policies(policies, options, hoped)?;
        let (policy_set, change) = PolicySet::default().next(policies, &effective);
        let identities = identify(&policy_set.wanted(options.allow_absent), &mut inodes)?;
        let bound = Bound::of(&identities, policy_set.numbers());

        let mut skel = load(options, hoped, policy_set.sizes(&change), &bound)?;
        let maps = Maps::find(|name| of_object(skel.object(), name))?;
        maps.fill(&policy_set, &bound)?;
        let probe_map = mechanisms.map;
        let mode = attach_mode(options);
        let vetoes = Vetoes::attach(
            &skel,
            mechanisms,
            hoped,
            judges_at_hook(options, mode),
            options.self_protect,
            options.pinned,
        )?;
        // What could be tried on one hook may be missing on others.
        if vetoes.level < hoped {
            require(vetoes.level, options.require)?;
            effective_policies(policies, options, vetoes.level)?;
        }
        if let Some(data) = skel.maps.bss_data.as_mut() {
            data.enforcer = inodes.process()?;
            data.enforcing = true;
            data.pinned = options.pinned;
            for (number, coverage) in (0_u32..).zip(&mut data.deny_coverage) {
                *coverage = vetoes.coverage(number) as u8;
            }
        }
        let (hooks, attached) = Hooks::attach(&tracepoints!(skel), mode)?;
        let events = EventMaps::find(|name| of_object(skel.object(), name))?;
        let counters = of_object(skel.object(), "counters")?;
        let stream = EventStream { maps: events, reader: EventReader::of(&policy_set) };
        let counter_reader = CounterReader { counters, attached };
        let enforcer = Enforcer { skel, hooks, vetoes, maps, stream, counter_reader, policy_set };
        enforcer.claim(probe_map)?;
        enforcer.adopt(&identities, &mut inodes, watched)?;
        Ok(enforcer)
    }

    /// How many states the kernel's tables hold.
    #[must_use]
    pub fn states(&self) -> usize {
        self.policy_set.states()
    }

    /// What it promises.
    #[must_use]
    pub fn level(&self) -> Level {
        self.vetoes.level
    }

    /// How many LSM hooks, and how many functions of system calls, refuse what is under a sentence.
    #[must_use]
    pub fn enforcement_points(&self) -> (usize, usize) {
        (self.vetoes.hooks, self.vetoes.functions)
    }

    /// The enforcement points that this kernel lacks, or does not let be guarded.
    #[must_use]
    pub fn unsupported(&self) -> &[String] {
        &self.vetoes.unsupported
    }

    /// Waits for violations, `timeout` at the most, and hands over those that there are: at most a
    /// few thousand at a time, so that a storm of them does not keep the caller from anything else.
    /// How many these were.
    ///
    /// # Errors
    /// The ring buffer cannot be read. A signal that interrupts the wait is none.
    pub fn poll(
        &self,
        timeout: Duration,
        each: impl FnMut(Violation),
    ) -> Result<usize, KernelError> {
        self.stream.poll(timeout, each)
    }

    /// The violations that were not told one by one, by their kinds: those past so many of a kind a
    /// second (`Options::full_events`), and those that came when half of what has room to be told
    /// was not read yet. Each is told once.
    ///
    /// # Errors
    /// The maps cannot be read.
    pub fn repeated(&self) -> Result<Vec<Repeated>, KernelError> {
        self.stream.repeated()
    }

    /// The totals so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn totals(&self) -> Result<Totals, KernelError> {
        self.counter_reader.totals()
    }

    /// Pins everything that enforces, and what tells of it.
    pub(crate) fn pin(&self, set: &Set, options: &Options) -> Result<(), KernelError> {
        let reached = Reached {
            level: self.level(),
            enforcement_points: self.enforcement_points(),
            unsupported: self.unsupported(),
        };
        let manifest = Manifest::new(&self.policy_set, options, &reached).store()?;
        let iterators = [
            ("watched", &self.skel.progs.handle_watched),
            ("adopt", &self.skel.progs.handle_adopt),
        ];
        for (name, program) in iterators {
            let failed = |cause| KernelError::Attach { program: name, cause, log: log::take() };
            let link = program.attach().map_err(failed)?;
            self.own(&objects::link(link.as_fd()).map_err(unknown)?)?;
            set.directory.pin(name, link.as_fd())?;
        }
        self.own(&[objects::map(manifest.as_fd()).map_err(unknown)?])?;
        for (name, map) in self.maps.each().chain(self.stream.maps.each()) {
            set.directory.pin(name, map.as_fd())?;
        }
        for (number, link) in self.vetoes.links().iter().enumerate() {
            set.directory.pin(&format!("{}{number:04}", Set::VETO), link.as_fd())?;
        }
        for (number, (hook, link)) in self.hooks.links().enumerate() {
            set.directory.pin(&format!("{}{hook}_{number}", Set::HOOK), link.as_fd())?;
        }
        self.counter_reader.attached.pin(&set.directory)?;
        set.directory.pin(MANIFEST, manifest.as_fd())
    }

    /// Takes the programs off. Threads are not watched any more.
    pub fn detach(&mut self) {
        self.hooks.detach();
        // A denial that was its thread's last call must not outlive the end.
        if let Some(data) = self.skel.maps.bss_data.as_mut() {
            data.enforcing = false;
        }
        self.vetoes.release();
    }

    /// Tells the kernel's side which BPF objects are ours.
    fn claim(&self, probe_map: Option<types::sysfsm_object>) -> Result<(), KernelError> {
        let object = self.skel.object();
        let mut ours: Vec<_> = probe_map.into_iter().collect();
        for map in object.maps() {
            ours.push(objects::map(map.as_fd()).map_err(unknown)?);
        }
        for program in object.progs().filter(ProgramImpl::autoload) {
            ours.push(objects::program(program.as_fd()).map_err(unknown)?);
        }
        let hooks = self.hooks.links().map(|(_, link)| link.as_fd());
        for link in hooks.chain(self.vetoes.links().iter().map(AsFd::as_fd)) {
            ours.extend(objects::link(link).map_err(unknown)?);
        }
        self.own(&ours)
    }

    fn own(&self, ours: &[types::sysfsm_object]) -> Result<(), KernelError> {
        ours.iter()
            .try_for_each(|object| put(&self.maps.service.objects, "objects", object, &1_u32))
    }

    /// Takes running threads under their policies.
    fn adopt(
        &self,
        identities: &Identities,
        inodes: &mut Inodes<'_>,
        watched: &dyn Fn(&PolicySet) -> Result<Watched, KernelError>,
    ) -> Result<(), KernelError> {
        let program = "handle_adopt";
        let failed = |cause| KernelError::Attach { program, cause, log: log::take() };
        let link = self.skel.progs.handle_adopt.attach().map_err(failed)?;
        let adoption = Adoption {
            link: link.as_fd(),
            adoptees: &self.maps.service.adoptees,
            counters: &self.maps.service.counters,
        };
        let policy_set = &self.policy_set;
        adoption.repeat(|| {
            let watched = watched(policy_set)?;
            candidates(identities, inodes, &watched, policy_set.binds_any(), policy_set.numbers())
        })?;
        Ok(())
    }
}

/// Loads the programs, with as much room as is needed, or, pinned, as may be.
fn load(
    options: Options,
    level: Level,
    sizes: Sizes,
    bound: &Bound,
) -> Result<EnforceSkel<'static>, KernelError> {
    let refused = |cause| KernelError::Load { cause, log: log::take() };
    let mode = attach_mode(options);
    // The skeleton borrows its object; there is one a process, so that leaking it costs nothing.
    let object = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open = EnforceSkelBuilder::default().open(object).map_err(refused)?;
    if let Some(rodata) = open.maps.rodata_data.as_mut() {
        rodata.fallbacks_only = options.fallbacks_only;
        rodata.preemptible = mode.preemptible();
        rodata.complain = options.complain;
        rodata.full_events = options.full_events;
        rodata.simulate_missed_nr =
            options.simulate_missed_nr.unwrap_or(types::sysfsm_marker::SYSFSM_NO_CALL.0);
    }
    choose_programs(&mut open, mode, level, judges_at_hook(options, mode), options.pinned);
    let maps = &mut open.maps;
    step_maps::resize(
        &mut StepMaps {
            cells: &mut maps.cells,
            far_cells: &mut maps.far_cells,
            policies: &mut maps.policies,
            contexts: &mut maps.contexts,
            histories: &mut maps.histories,
            migrations: &mut maps.migrations,
        },
        &if options.pinned { sizes.with_room() } else { sizes },
    )?;
    let room = |entries: usize| if options.pinned { entries + entries.max(1024) } else { entries };
    bind::resize(
        &mut IdentityMaps {
            binaries: &mut maps.binaries,
            paths: &mut maps.paths,
            names: &mut maps.names,
        },
        bound,
        room,
    )?;
    entries::set_room(&mut maps.selected, "selected", room(sizes.policies))?;
    entries::set_room(&mut maps.cgroups, "cgroups", room(sizes.policies))?;
    maps.events.set_max_entries(options.ring_bytes).map_err(refused)?;
    if !options.complain {
        maps.sampled.set_max_entries(1).map_err(refused)?;
    }
    open.load().map_err(refused)
}

fn attach_mode(options: Options) -> AttachMode {
    AttachMode::find(options.simulate_missed_nr.is_some())
}

/// Whether calls may have to be judged at the choke points.
fn judges_at_hook(options: Options, mode: AttachMode) -> bool {
    mode == AttachMode::Dual || options.simulate_missed_nr.is_some()
}

/// The id of an object cannot be had.
fn unknown(cause: io::Error) -> KernelError {
    KernelError::Fill { map: "objects", entries: 1, cause: cause.into() }
}

/// Leaves out what is for other kernels, and for other levels: each program costs a part of the
/// start.
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
    for template in [
        &mut programs.veto_capability,
        &mut programs.veto_key,
        &mut programs.protect_task,
        &mut programs.protect_owner,
        &mut programs.protect_bpf,
        &mut programs.protect_pins,
        &mut programs.protect_mount,
    ] {
        template.set_autoload(level > Level::Kill);
    }
}
