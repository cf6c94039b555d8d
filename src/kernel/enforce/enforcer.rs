//! An enforcement of this process: from the policies to the attached programs, and back.

use crate::kernel::bpf::entries::{self, put};
use crate::kernel::bpf::log;
use crate::kernel::bpf::map_list::of_object;
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::{types, EnforceSkel};
use crate::kernel::enforce::adoption::{adopt, Flag};
use crate::kernel::enforce::load::{attach_mode, judges_at_hook, load};
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::{EventMaps, Repeated};
use crate::kernel::events::stream::{CounterReader, EventStream};
use crate::kernel::events::totals::Totals;
use crate::kernel::events::violation::{EventReader, Violation};
use crate::kernel::hooks::{tracepoints, Hooks};
use crate::kernel::identity::binaries::{identify, Identities};
use crate::kernel::identity::inode::Inodes;
use crate::kernel::identity::maps::Bound;
use crate::kernel::level::Level;
use crate::kernel::lsm::attach::Vetoes;
use crate::kernel::lsm::switches;
use crate::kernel::options::Options;
use crate::kernel::pinned::manifest::{Manifest, Reached};
use crate::kernel::pinned::pins::{Set, MANIFEST};
use crate::kernel::pinned::predecessor::Predecessor;
use crate::kernel::pinned::self_test::carry_out;
use crate::kernel::policies::level_requirements::{effective_policies, require};
use crate::kernel::policies::maps::Maps;
use crate::kernel::policies::policy_set::PolicySet;
use crate::kernel::support::deny_mechanisms::DenyMechanisms;
use crate::kernel::support::privileges::{require_btf, require_privilege};
use crate::kernel::support::self_test::{find_own_process, Mechanism, SelfTest};
use crate::policy::Policy;
use libbpf_rs::skel::Skel as _;
use libbpf_rs::ProgramImpl;
use std::io;
use std::mem::{offset_of, MaybeUninit};
use std::os::fd::AsFd;
use std::time::Duration;

/// Policies that the kernel enforces. Dropping the enforcer detaches the programs, unless they are
/// pinned.
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
    /// Loads policies into the kernel and attaches the programs. From then on every exec of a bound
    /// binary is watched; running threads are adopted. Either all policies are enforced, or there
    /// is an error and none is.
    ///
    /// # Errors
    /// What is missing, on this machine or in a policy.
    pub fn start(policies: &[Policy], options: Options) -> Result<Self, KernelError> {
        Enforcer::start_after(policies, options, None)
    }

    /// Does what [`Enforcer::start`] does while another set is enforced. What that set watches stays
    /// watched, if the policies name its binary.
    pub(crate) fn start_after(
        policies: &[Policy],
        options: Options,
        before: Option<&Predecessor>,
    ) -> Result<Self, KernelError> {
        require_privilege()?;
        require_btf()?;
        log::capture();
        let mut finder = MaybeUninit::uninit();
        let mut inodes = Inodes::load(&mut finder)?;
        let mechanisms = if options.at_most == Level::Kill {
            DenyMechanisms::untried()
        } else {
            find_own_process(&inodes)?;
            DenyMechanisms::find()?
        };
        let hoped = mechanisms.level().min(options.at_most);
        require(hoped, options.require)?;
        let effective = effective_policies(policies, options, hoped)?;
        let (policy_set, change) = PolicySet::default().next(policies, &effective);
        let identities = identify(&policy_set.wanted(options.allow_absent), &mut inodes)?;
        let bound = Bound::of(&identities, policy_set.numbers());

        let mut skel = load(options, hoped, policy_set.sizes(&change), &bound, before)?;
        let maps = Maps::find(|name| of_object(skel.object(), name))?;
        maps.fill(&policy_set, &bound)?;
        if let Some(before) = before {
            let binaries = before.binaries(&policy_set);
            entries::fill(&skel.maps.binaries_before, "binaries_before", &binaries)?;
        }
        let mode = attach_mode(options);
        switches::fill(&skel.maps.switches)?;
        let vetoes = Vetoes::attach(
            &skel,
            mechanisms,
            hoped,
            judges_at_hook(options, mode),
            options.self_protect,
            options.pinned,
        )?;
        // The mechanism was tried on one hook. It may be missing on another one.
        if vetoes.level < hoped {
            require(vetoes.level, options.require)?;
            effective_policies(policies, options, vetoes.level)?;
            if vetoes.level == Level::Kill {
                // The object of level kill is another one.
                drop((vetoes, maps, skel));
                return Self::start_after(
                    policies,
                    Options { at_most: Level::Kill, ..options },
                    before,
                );
            }
        }
        if let Some(data) = skel.maps.bss_data.as_mut() {
            data.enforcer = inodes.process()?;
            data.enforcing = true;
            data.pinned = options.pinned;
            for (number, coverage) in (0_u32..).zip(&mut data.deny_coverage) {
                *coverage = u8::try_from(vetoes.coverage(number).0).unwrap_or_default();
            }
        }
        let (hooks, attached) = Hooks::attach(&tracepoints!(skel), mode)?;
        let events = EventMaps::find(|name| of_object(skel.object(), name))?;
        let counters = of_object(skel.object(), "counters")?;
        let stream = EventStream { maps: events, reader: EventReader::of(&policy_set) };
        let counter_reader = CounterReader { counters, attached };
        let enforcer = Enforcer { skel, hooks, vetoes, maps, stream, counter_reader, policy_set };
        enforcer.claim()?;
        // From here on the enforcer's cgroups are known.
        enforcer.self_test()?;
        enforcer.adopt(&identities, &mut inodes, before)?;
        Ok(enforcer)
    }

    /// How many states the kernel's tables have.
    #[must_use]
    pub fn states(&self) -> usize {
        self.policy_set.states()
    }

    /// The level that is reached.
    #[must_use]
    pub fn level(&self) -> Level {
        self.vetoes.level
    }

    /// How many LSM hooks, and how many functions of system calls, refuse the calls of threads
    /// whose enforcement state says so.
    #[must_use]
    pub fn enforcement_points(&self) -> (usize, usize) {
        (self.vetoes.hooks, self.vetoes.functions)
    }

    /// The enforcement points that this kernel lacks, or does not let a program be attached to.
    #[must_use]
    pub fn unsupported(&self) -> &[String] {
        &self.vetoes.unsupported
    }

    /// Waits for violations, at most `timeout`, and hands over those that there are. Returns their
    /// number, which is at most a few thousand: a storm of violations does not keep the caller from
    /// other work. A signal that interrupts the wait is no error.
    ///
    /// # Errors
    /// The ring buffer cannot be read.
    pub fn poll(
        &self,
        timeout: Duration,
        each: impl FnMut(Violation),
    ) -> Result<usize, KernelError> {
        self.stream.poll(timeout, each)
    }

    /// By kind, the violations that had no event of their own: those past [`Options::full_events`]
    /// of a kind in a second, and those that came while the ring buffer was more than half full. A
    /// violation is returned once.
    ///
    /// # Errors
    /// The maps cannot be read.
    pub fn repeated(&self) -> Result<Vec<Repeated>, KernelError> {
        self.stream.repeated()
    }

    /// Tries whether vetoes still work. Returns the mechanisms that do not any more: calls by which
    /// watched threads break their policies are not refused there.
    ///
    /// # Errors
    /// It cannot be tried.
    pub fn self_test(&self) -> Result<Vec<Mechanism>, KernelError> {
        match &self.vetoes.self_test {
            Some(self_test) => carry_out(self_test, &self.maps.data),
            None => Ok(Vec::new()),
        }
    }

    /// The totals so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn totals(&self) -> Result<Totals, KernelError> {
        self.counter_reader.totals()
    }

    /// Pins everything that enforces, and the maps by which it is read and changed. The manifest is
    /// pinned last: it makes the set complete.
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
        if let Some(self_test) = &self.vetoes.self_test {
            set.directory.pin(SelfTest::PIN, self_test.map().as_fd())?;
        }
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
        // A denial of a thread's last call would be in effect until its next call.
        if let Some(data) = self.skel.maps.bss_data.as_mut() {
            data.enforcing = false;
        }
        self.vetoes.release();
    }

    /// Tells the programs which BPF objects are to be protected: all of this enforcement.
    fn claim(&self) -> Result<(), KernelError> {
        let object = self.skel.object();
        let self_test = self.vetoes.self_test.as_ref().map(SelfTest::object).transpose()?;
        let mut ours: Vec<_> = self_test.into_iter().collect();
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

    /// Protects more objects.
    fn own(&self, ours: &[types::sysfsm_object]) -> Result<(), KernelError> {
        ours.iter()
            .try_for_each(|object| put(&self.maps.service.objects, "objects", object, &1_u32))
    }

    /// Brings running threads under their policies. `before` watches some of them.
    fn adopt(
        &self,
        identities: &Identities,
        inodes: &mut Inodes<'_>,
        before: Option<&Predecessor>,
    ) -> Result<(), KernelError> {
        let program = "handle_adopt";
        let failed = |cause| KernelError::Attach { program, cause, log: log::take() };
        let link = self.skel.progs.handle_adopt.attach().map_err(failed)?;
        let data = &self.maps.data;
        let _before = before.map(|_| Flag::set(data, offset_of!(types::bss, taking_over)));
        adopt(link.as_fd(), &self.maps, &self.policy_set, identities, inodes)
    }
}

/// The error if the id of a BPF object cannot be read.
fn unknown(cause: io::Error) -> KernelError {
    KernelError::Fill { map: "objects", entries: 1, cause: cause.into() }
}
