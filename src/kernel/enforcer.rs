//! Enforcement, from the policies to the attached programs and back.

use super::adopt::{self, Candidate};
use super::event::{epoch, Reader};
use super::fill::{self, index_of, StepMaps};
use super::hooks::{Hook, Hooks};
use super::identity::{identify, Identities};
use super::inode::Inodes;
use super::preemption::tracepoints_are_preemptible;
use super::skeleton::{types, EnforceSkel, EnforceSkelBuilder};
use super::terms::{require, terms};
use super::veto::Vetoes;
use super::ways::Ways;
use super::{log, objects, probe, KernelError, Level, Totals, Violation};
use crate::policy::Policy;
use crate::table::{compile, State};
use libbpf_rs::skel::{OpenSkel as _, Skel as _, SkelBuilder as _};
use libbpf_rs::{MapCore as _, MapFlags, ProgramImpl, RingBufferBuilder};
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How policies are enforced.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // Switches, each of its own.
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
    reader: Reader,
    states: Vec<State>,
}

impl Enforcer {
    /// Loads policies into the kernel and attaches the programs: from then on every exec of a bound binary is
    /// watched. All of them, or an error and none.
    ///
    /// # Errors
    /// What is missing, on this machine or in a policy.
    pub fn start(policies: &[Policy], options: Options) -> Result<Self, KernelError> {
        probe::require_privilege()?;
        probe::require_btf()?;
        log::capture();
        let mut finder = MaybeUninit::uninit();
        let mut inodes = Inodes::load(&mut finder)?;
        let ways = Ways::find(&inodes)?;
        let hoped = ways.level().min(options.at_most);
        require(hoped, options.require)?;
        let policy_terms = terms(policies, options, hoped)?;
        let identities = identify(policies, &mut inodes)?;
        let tables = compile(policies.iter().map(|p| &p.machine));

        let refused = |cause| KernelError::Load { cause, log: log::take() };
        let preemptible = tracepoints_are_preemptible() || options.unseen.is_some();
        // The skeleton borrows its object; there is one a process, so that leaking it costs nothing.
        let object = Box::leak(Box::new(MaybeUninit::uninit()));
        let mut open = EnforceSkelBuilder::default().open(object).map_err(refused)?;
        if let Some(rodata) = open.maps.rodata_data.as_mut() {
            rodata.names_used = !identities.names.is_empty();
            rodata.scripts_used = !identities.scripts.is_empty();
            rodata.spares_only = options.spares_only;
            rodata.preemptible = preemptible;
            rodata.learning = options.learn;
            rodata.unseen = options.unseen.unwrap_or(u32::MAX);
        }
        let programs = &mut open.progs;
        for program in [
            &mut programs.again_newtask,
            &mut programs.again_exit,
            &mut programs.again_signal,
            &mut programs.again_sys_enter,
            &mut programs.again_exec,
            &mut programs.classic_sys_enter,
        ] {
            program.set_autoload(preemptible);
        }
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
        )?;
        let size = |n: usize| u32::try_from(n.max(1)).unwrap_or(u32::MAX);
        maps.binaries.set_max_entries(size(identities.binaries.len())).map_err(refused)?;
        maps.names.set_max_entries(size(identities.names.len())).map_err(refused)?;
        maps.scripts.set_max_entries(size(identities.scripts.len())).map_err(refused)?;
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
        bind(&skel, &identities)?;
        let of_ways = ways.map;
        let vetoes = Vetoes::attach(&skel, ways, hoped, options.self_protect)?;
        // What could be tried on one hook may be missing on others.
        if vetoes.level < hoped {
            require(vetoes.level, options.require)?;
            terms(policies, options, vetoes.level)?;
        }
        if let Some(data) = skel.maps.bss_data.as_mut() {
            data.enforcer = inodes.process()?;
            for (number, refusable) in (0_u32..).zip(&mut data.refusable) {
                *refusable = vetoes.refuses(number) as u8;
            }
        }
        let states = tables.rows.iter().map(|r| r.state).collect();
        let hooks = Hooks::attach(&tracepoints(&skel), preemptible)?;
        let enforcer = Enforcer { skel, hooks, vetoes, reader: Reader::new(tables), states };
        enforcer.claim(of_ways)?;
        enforcer.adopt(&identities, &mut inodes)?;
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
    pub fn poll(&self, timeout: Duration, mut each: impl FnMut(Violation)) -> Result<usize, KernelError> {
        const AT_A_TIME: usize = 4096;
        let failed = |cause| KernelError::Read { map: "events", cause };
        let epoch = epoch();
        let mut builder = RingBufferBuilder::new();
        builder
            .add(&self.skel.maps.events, |bytes| {
                self.reader.read(epoch, bytes).into_iter().for_each(&mut each);
                0
            })
            .map_err(failed)?;
        let ring = builder.build().map_err(failed)?;
        // What is there already wakes nobody up.
        let mut taken = ring.consume_raw_n(AT_A_TIME);
        if taken == 0 && !timeout.is_zero() {
            // SAFETY: the ring owns the descriptor, and outlives this borrow of it.
            let ready = unsafe { BorrowedFd::borrow_raw(ring.epoll_fd()) };
            let patience = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(ready, PollFlags::POLLIN)], patience) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(failed(io::Error::from(e).into())),
            }
            taken = ring.consume_raw_n(AT_A_TIME);
        }
        usize::try_from(taken).map_err(|_| failed(io::Error::from_raw_os_error(-taken).into()))
    }

    /// The totals so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn totals(&self) -> Result<Totals, KernelError> {
        let cpus = self
            .skel
            .maps
            .counters
            .lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)
            .map_err(|cause| KernelError::Read { map: "counters", cause })?
            .unwrap_or_default();
        let mut totals = Totals::default();
        for cpu in cpus {
            let mut counters = types::sysfsm_counters::default();
            if plain::copy_from_bytes(&mut counters, &cpu).is_ok() {
                totals.add(&counters);
            }
        }
        totals.missed = self.hooks.missed()?;
        Ok(totals)
    }

    /// Takes the programs off. Threads are not watched any more.
    pub fn detach(&mut self) {
        self.hooks.detach();
        // A denial that was its thread's last call must not outlive the end.
        if let Some(data) = self.skel.maps.bss_data.as_mut() {
            data.enforcer = 0;
        }
        self.vetoes.release();
    }

    /// Tells the kernel's side which BPF objects are ours.
    fn claim(&self, of_ways: types::sysfsm_object) -> Result<(), KernelError> {
        let unknown =
            |cause: io::Error| KernelError::Fill { map: "objects", entries: 1, cause: cause.into() };
        let object = self.skel.object();
        let mut ours = vec![of_ways];
        for map in object.maps() {
            ours.push(objects::map(map.as_fd()).map_err(unknown)?);
        }
        for program in object.progs().filter(ProgramImpl::autoload) {
            ours.push(objects::program(program.as_fd()).map_err(unknown)?);
        }
        let links =
            self.hooks.links().iter().map(AsFd::as_fd).chain(self.vetoes.links().iter().map(AsFd::as_fd));
        for link in links {
            ours.extend(objects::link(link).map_err(unknown)?);
        }
        ours.iter().try_for_each(|object| put(&self.skel.maps.objects, "objects", object, &1_u32))
    }

    /// Takes running threads under their policies, again and again until a look finds no new one: a thread may
    /// be born of one that was not adopted yet.
    fn adopt(&self, identities: &Identities, inodes: &mut Inodes<'_>) -> Result<(), KernelError> {
        const PASSES: usize = 20;
        let mut before = 0;
        for _ in 0..PASSES {
            let found = adopt::candidates(identities, inodes)?;
            // As many at a time as the map takes.
            for some in found.chunks(32_768) {
                self.adopt_some(some)?;
            }
            let totals = self.totals()?;
            if totals.threads_refused > 0 {
                let what =
                    format!("{} of their threads found no room for their state", totals.threads_refused);
                return Err(KernelError::Adopt(what));
            }
            if totals.adopted == before {
                return Ok(());
            }
            before = totals.adopted;
        }
        Err(KernelError::Adopt(format!("new threads of theirs are still found after {PASSES} looks")))
    }

    fn adopt_some(&self, candidates: &[Candidate]) -> Result<(), KernelError> {
        let program = "handle_adopt";
        let failed = |cause| KernelError::Attach { program, cause, log: log::take() };
        let map = &self.skel.maps.adoptees;
        for candidate in candidates {
            let value = types::sysfsm_adoptee {
                exe: candidate.exe.wire(),
                policy: index_of(candidate.policy),
                pad: 0,
            };
            put(map, "adoptees", &candidate.pid, &value)?;
        }
        let link = self.skel.progs.handle_adopt.attach().map_err(failed)?;
        let mut iterator = libbpf_rs::Iter::new(&link).map_err(failed)?;
        io::copy(&mut iterator, &mut io::sink()).map_err(|cause| KernelError::Iterate { program, cause })?;
        for candidate in candidates {
            map.delete(&candidate.pid.to_ne_bytes()).map_err(|cause| KernelError::Fill {
                map: "adoptees",
                entries: candidates.len(),
                cause,
            })?;
        }
        Ok(())
    }
}

/// The programs at the tracepoints, births, ends and signals before calls and execs, so that no thread is watched whose
/// children or handlers are not.
fn tracepoints<'a>(skel: &'a EnforceSkel<'_>) -> [Hook<'a>; 5] {
    let programs = &skel.progs;
    let hook = |name, first, again| Hook { name, first, again, classic: None };
    [
        hook("task_newtask", &programs.handle_newtask, &programs.again_newtask),
        hook("sched_process_exit", &programs.handle_exit, &programs.again_exit),
        hook("signal_deliver", &programs.handle_signal, &programs.again_signal),
        Hook {
            classic: Some(&programs.classic_sys_enter),
            ..hook("sys_enter", &programs.handle_sys_enter, &programs.again_sys_enter)
        },
        hook("sched_process_exec", &programs.handle_exec, &programs.again_exec),
    ]
}

fn bind(skel: &EnforceSkel<'_>, identities: &Identities) -> Result<(), KernelError> {
    for (file, &policy) in &identities.binaries {
        put(&skel.maps.binaries, "binaries", &file.wire(), &index_of(policy))?;
    }
    for (name, &policy) in &identities.names {
        let mut key = types::sysfsm_name { text: [0; 256] };
        write_text(&mut key.text, name.as_bytes());
        put(&skel.maps.names, "names", &key, &index_of(policy))?;
    }
    for ((from, path), &policy) in &identities.scripts {
        let mut key = types::sysfsm_script { from: from.wire(), path: [0; 256] };
        write_text(&mut key.path, path);
        put(&skel.maps.scripts, "scripts", &key, &index_of(policy))?;
    }
    Ok(())
}

/// Copies bytes into a C string, leaving its last zero.
fn write_text(to: &mut [i8; 256], from: &[u8]) {
    for (slot, &byte) in to.iter_mut().take(255).zip(from) {
        *slot = i8::from_ne_bytes([byte]);
    }
}

fn put<K: plain::Plain, V: plain::Plain>(
    map: &libbpf_rs::MapMut<'_>,
    name: &'static str,
    key: &K,
    value: &V,
) -> Result<(), KernelError> {
    // SAFETY: `Plain` promises that both are plain bytes without hidden padding.
    let (key, value) = unsafe { (plain::as_bytes(key), plain::as_bytes(value)) };
    map.update(key, value, MapFlags::ANY).map_err(|cause| KernelError::Fill { map: name, entries: 1, cause })
}
