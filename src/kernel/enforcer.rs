//! Enforcement, from the policies to the attached programs and back.

use super::adopt::{candidates, Adoption, Watched};
use super::bind::{self, put, IdentityMaps};
use super::event::Reader;
use super::fill::{self, StepMaps};
use super::hooks::{choose, tracepoints, Hooks};
use super::identity::{identify, Identities};
use super::inode::Inodes;
use super::manifest::{Manifest, Reached};
use super::outlet::Outlet;
use super::pins::{Set, MANIFEST};
use super::preemption::Turns;
use super::skeleton::{types, EnforceSkel, EnforceSkelBuilder, OpenEnforceSkel};
use super::terms::{require, terms};
use super::veto::Vetoes;
use super::ways::Ways;
use super::{log, objects, probe, KernelError, Level, Totals, Violation};
use crate::policy::Policy;
use crate::table::{compile, State};
use libbpf_rs::skel::{OpenSkel as _, Skel as _, SkelBuilder as _};
use libbpf_rs::{MapHandle, ProgramImpl};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::Duration;

/// How policies are enforced.
#[derive(Debug, Clone, Copy)]
// Each says yes or no to something of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Options {
    /// Only report, whatever the policies' actions are.
    pub log_only: bool,
    /// Report what a machine needs that is to learn (`Reaction::Learn`), the first of each kind with its stack.
    pub learn: bool,
    /// Refuse to start below this level. Without one `kill` will do, but for policies that say `deny` nothing less
    /// than `prevent`.
    pub require: Option<Level>,
    /// Use no stronger level than this: fewer hooks, which other processes pass too, and a quicker start.
    pub at_most: Level,
    /// Keep watched threads from the enforcer and its BPF objects, where the level allows it.
    pub self_protect: bool,
    /// Bytes of the ring buffer for events; a power of two, and a multiple of the page size.
    pub ring_bytes: u32,
    /// Go on enforcing when the process ends that has started it.
    pub pinned: bool,
    /// For tests: as if no thread ever got storage, so that the spare places have to do.
    pub spares_only: bool,
    /// For tests: as if the programs at `sys_enter` could be preempted, and were always left out of this call.
    pub unseen: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        // 8 MiB hold about 70,000 events that nobody has read yet.
        Options {
            log_only: false,
            learn: false,
            require: None,
            at_most: Level::Prevent,
            self_protect: true,
            ring_bytes: 8 << 20,
            pinned: false,
            spares_only: false,
            unseen: None,
        }
    }
}

/// Policies in the kernel. Dropping it detaches everything.
pub struct Enforcer {
    skel: EnforceSkel<'static>,
    hooks: Hooks,
    vetoes: Vetoes,
    outlet: Outlet,
    /// What is bound (`Identities::lines`).
    bound: Vec<String>,
    states: Vec<State>,
}

impl Enforcer {
    /// Loads policies into the kernel and attaches the programs: from then on every exec of a bound binary is
    /// watched. All of them, or an error and none.
    ///
    /// # Errors
    /// What is missing, on this machine or in a policy.
    pub fn start(policies: &[Policy], options: Options) -> Result<Self, KernelError> {
        Enforcer::start_after(policies, options, &|| Ok(Watched::new()))
    }

    /// The same, where something is enforced already: `watched` looks at what that watches now.
    pub(super) fn start_after(
        policies: &[Policy],
        options: Options,
        watched: &dyn Fn() -> Result<Watched, KernelError>,
    ) -> Result<Self, KernelError> {
        probe::require_privilege()?;
        probe::require_btf()?;
        log::capture();
        let mut finder = MaybeUninit::uninit();
        let mut inodes = Inodes::load(&mut finder)?;
        let ways = match options.at_most {
            Level::Kill => Ways::untried(),
            _ => Ways::find(&inodes)?,
        };
        let hoped = ways.level().min(options.at_most);
        require(hoped, options.require)?;
        let policy_terms = terms(policies, options, hoped)?;
        let binaries: Vec<&str> = policies.iter().map(|p| p.binary.as_str()).collect();
        let identities = identify(&binaries, &mut inodes)?;
        let tables = compile(&policies.iter().map(|p| &p.machine).collect::<Vec<_>>());

        let refused = |cause| KernelError::Load { cause, log: log::take() };
        let turns = Turns::find(options.unseen.is_some());
        let late = turns == Turns::Twice || options.unseen.is_some();
        // The skeleton borrows its object; there is one a process, so that leaking it costs nothing.
        let object = Box::leak(Box::new(MaybeUninit::uninit()));
        let mut open = EnforceSkelBuilder::default().open(object).map_err(refused)?;
        if let Some(rodata) = open.maps.rodata_data.as_mut() {
            rodata.names_used = !identities.names.is_empty();
            rodata.scripts_used = !identities.scripts.is_empty();
            rodata.spares_only = options.spares_only;
            rodata.preemptible = turns.preemptible();
            rodata.learning = options.learn;
            rodata.unseen = options.unseen.unwrap_or(u32::MAX);
        }
        choose_programs(&mut open, turns, hoped, late, options.pinned);
        let maps = &mut open.maps;
        fill::resize(
            &mut StepMaps {
                cells: &mut maps.cells,
                far_cells: &mut maps.far_cells,
                policies: &mut maps.policies,
                contexts: &mut maps.contexts,
                histories: &mut maps.histories,
            },
            &tables,
            &policy_terms,
        )?;
        bind::resize(
            &mut IdentityMaps {
                binaries: &mut maps.binaries,
                names: &mut maps.names,
                scripts: &mut maps.scripts,
            },
            &identities,
        )?;
        maps.events.set_max_entries(options.ring_bytes).map_err(refused)?;
        if !options.learn {
            maps.sampled.set_max_entries(1).map_err(refused)?;
        }
        let mut skel = open.load().map_err(refused)?;
        fill::fill(
            &StepMaps {
                cells: &skel.maps.cells,
                far_cells: &skel.maps.far_cells,
                policies: &skel.maps.policies,
                contexts: &skel.maps.contexts,
                histories: &skel.maps.histories,
            },
            &tables,
            &policy_terms,
        )?;
        bind::fill(
            &IdentityMaps {
                binaries: &skel.maps.binaries,
                names: &skel.maps.names,
                scripts: &skel.maps.scripts,
            },
            &identities,
        )?;
        let of_ways = ways.map;
        let vetoes = Vetoes::attach(&skel, ways, hoped, late, options.self_protect)?;
        // What could be tried on one hook may be missing on others.
        if vetoes.level < hoped {
            require(vetoes.level, options.require)?;
            terms(policies, options, vetoes.level)?;
        }
        if let Some(data) = skel.maps.bss_data.as_mut() {
            data.enforcer = inodes.process()?;
            data.enforcing = true;
            data.pinned = options.pinned;
            for (number, refusable) in (0_u32..).zip(&mut data.refusable) {
                *refusable = vetoes.refuses(number) as u8;
            }
        }
        let states = tables.rows.iter().map(|r| r.state).collect();
        let handle =
            |name, map| MapHandle::try_from(map).map_err(|cause| KernelError::Read { map: name, cause });
        let (events, counters) =
            (handle("events", &skel.maps.events)?, handle("counters", &skel.maps.counters)?);
        let (hooks, attached) = Hooks::attach(&tracepoints!(skel), turns)?;
        let outlet = Outlet { events, counters, attached, reader: Reader::new(tables) };
        let enforcer = Enforcer { skel, hooks, vetoes, outlet, bound: identities.lines(), states };
        enforcer.claim(of_ways)?;
        enforcer.adopt(&identities, &mut inodes, watched)?;
        Ok(enforcer)
    }

    /// How many states the kernel's tables hold.
    #[must_use]
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// What it promises.
    #[must_use]
    pub fn level(&self) -> Level {
        self.vetoes.level
    }

    /// How many LSM hooks, and how many functions of system calls, refuse what is under a sentence.
    #[must_use]
    pub fn chokes(&self) -> (usize, usize) {
        (self.vetoes.hooks, self.vetoes.functions)
    }

    /// The choke points that this kernel lacks, or does not let be guarded.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.vetoes.left_out
    }

    /// Waits for violations, `timeout` at the most, and hands over those that there are: at most a few thousand
    /// at a time, so that a storm of them does not keep the caller from anything else. How many these were.
    ///
    /// # Errors
    /// The ring buffer cannot be read. A signal that interrupts the wait is none.
    pub fn poll(&self, timeout: Duration, each: impl FnMut(Violation)) -> Result<usize, KernelError> {
        self.outlet.poll(timeout, each)
    }

    /// The totals so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn totals(&self) -> Result<Totals, KernelError> {
        self.outlet.totals()
    }

    /// Pins everything that enforces, and what tells of it.
    pub(super) fn pin(&self, set: &Set, policies: &[Policy], options: &Options) -> Result<(), KernelError> {
        let reached = Reached {
            level: self.level(),
            chokes: self.chokes(),
            left_out: self.left_out(),
            bound: &self.bound,
        };
        let manifest = Manifest::new(policies, options, &reached).store()?;
        let program = &self.skel.progs.handle_watched;
        let failed = |cause| KernelError::Attach { program: "handle_watched", cause, log: log::take() };
        let watched = program.attach().map_err(failed)?;
        self.own(&[
            objects::map(manifest.as_fd()).map_err(unknown)?,
            objects::link(watched.as_fd()).map_err(unknown)?[0],
        ])?;
        let bss = self.skel.maps.bss.as_fd();
        set.pin("data", bss)?;
        set.pin("events", self.skel.maps.events.as_fd())?;
        set.pin("counters", self.skel.maps.counters.as_fd())?;
        set.pin("watched", watched.as_fd())?;
        for (number, link) in self.vetoes.links().iter().enumerate() {
            set.pin(&format!("{}{number:04}", Set::VETO), link.as_fd())?;
        }
        for (number, (hook, link)) in self.hooks.links().enumerate() {
            set.pin(&format!("{}{hook}_{number}", Set::HOOK), link.as_fd())?;
        }
        self.outlet.attached.pin(set)?;
        set.pin(MANIFEST, manifest.as_fd())
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
    fn claim(&self, of_ways: Option<types::sysfsm_object>) -> Result<(), KernelError> {
        let object = self.skel.object();
        let mut ours: Vec<_> = of_ways.into_iter().collect();
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
        ours.iter().try_for_each(|object| put(&self.skel.maps.objects, "objects", object, &1_u32))
    }

    /// Takes running threads under their policies.
    fn adopt(
        &self,
        identities: &Identities,
        inodes: &mut Inodes<'_>,
        watched: &dyn Fn() -> Result<Watched, KernelError>,
    ) -> Result<(), KernelError> {
        let adoption = Adoption {
            program: &self.skel.progs.handle_adopt,
            adoptees: &self.skel.maps.adoptees,
            counters: &self.skel.maps.counters,
        };
        adoption.repeat(|| candidates(identities, inodes, &watched()?))
    }
}

/// The id of an object cannot be had.
fn unknown(cause: io::Error) -> KernelError {
    KernelError::Fill { map: "objects", entries: 1, cause: cause.into() }
}

/// Leaves out what is for other kernels, and for other levels: each program costs a part of the start.
fn choose_programs(open: &mut OpenEnforceSkel<'_>, turns: Turns, level: Level, late: bool, pinned: bool) {
    choose!(open, turns);
    open.progs.handle_watched.set_autoload(pinned);
    let programs = &mut open.progs;
    programs.veto.set_autoload(level > Level::Kill && !late);
    programs.veto_late.set_autoload(level > Level::Kill && late);
    for template in [
        &mut programs.veto_capability,
        &mut programs.veto_key,
        &mut programs.protect_task,
        &mut programs.protect_owner,
        &mut programs.protect_bpf,
    ] {
        template.set_autoload(level > Level::Kill);
    }
}
