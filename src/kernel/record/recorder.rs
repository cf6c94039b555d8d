//! A recording: from the attached programs to machines.

use crate::kernel::adopt::Adoption;
use crate::kernel::bpf::entries::{self, put};
use crate::kernel::bpf::log;
use crate::kernel::bpf::ring;
use crate::kernel::bpf::skeleton::{types, RecordSkel};
use crate::kernel::error::KernelError;
use crate::kernel::events::totals::Totals;
use crate::kernel::hooks::{tracepoints, Attached, Hooks};
use crate::kernel::identity::binaries::{identify, index_of, Identities, Wanted};
use crate::kernel::identity::inode::Inodes;
use crate::kernel::identity::maps::Bound;
use crate::kernel::identity::processes::candidates;
use crate::kernel::record::learned::{self, borrow_record_maps, RecordMaps};
use crate::kernel::record::load::load;
use crate::kernel::record::names::Names;
use crate::kernel::record::running::Processes;
use crate::kernel::record::starters::{self, Starters};
use crate::kernel::record::target::{RecordOptions, RecordTotals, Target};
use crate::kernel::support::preemption::AttachMode;
use crate::kernel::support::privileges::{require_btf, require_privilege};
use crate::machine::{Depth, Learned};
use crate::text::UntrustedText;
use libbpf_rs::MapCore as _;
use std::collections::{BTreeMap, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// The attached programs that collect transitions. Dropping the recorder detaches them.
pub struct Recorder {
    skel: RecordSkel<'static>,
    hooks: Hooks,
    attached: Attached,
    names: Names,
    depth: Depth,
}

impl Recorder {
    /// Loads and attaches the programs. From then on every call of the target is recorded; running
    /// threads are adopted.
    ///
    /// # Errors
    /// What is missing, on this machine or of the target.
    pub fn start(target: &Target, options: &RecordOptions) -> Result<Self, KernelError> {
        require_privilege()?;
        require_btf()?;
        log::capture();
        let mut finder = MaybeUninit::uninit();
        let mut inodes = Inodes::load(&mut finder)?;
        let identities = match target {
            Target::Binaries(paths) => {
                let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                let wanted = |path| Wanted { binary: path, may_be_absent: false };
                identify(&paths.into_iter().map(wanted).collect::<Vec<_>>(), &mut inodes)?
            }
            Target::Children | Target::Processes(_) => Identities::default(),
        };
        let processes = match target {
            Target::Processes(pids) => Processes::find(pids, &mut inodes)?,
            Target::Binaries(_) | Target::Children => Processes::default(),
        };
        let names = match target {
            Target::Binaries(paths) => named(paths),
            Target::Children | Target::Processes(_) => {
                named(processes.programs.iter().map(|program| &program.name))
            }
        };

        let mode = AttachMode::find(false);
        let mut skel = load(target, options, &identities, mode)?;
        let bound = Bound::in_order(&identities);
        entries::fill(&skel.maps.binaries, "binaries", &bound.binaries)?;
        entries::fill(&skel.maps.paths, "paths", &bound.paths)?;
        entries::fill(&skel.maps.names, "names", &bound.names)?;
        let (users, cgroups) = starters::chosen(&options.only);
        entries::fill(&skel.maps.users, "users", &users)?;
        entries::fill(&skel.maps.cgroups, "cgroups", &cgroups)?;
        for (index, program) in processes.programs.iter().enumerate() {
            let mut key = types::sysfsm_script::default();
            let from = program.from.wire();
            (key.from.inode, key.from.device, key.from.generation) =
                (from.inode, from.device, from.generation);
            write_text(&mut key.path, &program.path);
            put(&skel.maps.programs, "programs", &key, &index_of(index))?;
        }
        if let Some(data) = skel.maps.bss_data.as_mut() {
            data.names_used = !identities.names.is_empty();
            data.programs_used = index_of(processes.programs.len()) - 1;
            if matches!(target, Target::Children) {
                data.parent_of_root = inodes.process()?;
            }
        }
        let (hooks, attached) = Hooks::attach(&tracepoints!(skel), mode)?;
        let recorder = Recorder { skel, hooks, attached, names, depth: options.depth };
        recorder.adopt(target, &identities, &processes, &mut inodes)?;
        Ok(recorder)
    }

    /// Adopts the running threads of the target.
    fn adopt(
        &self,
        target: &Target,
        identities: &Identities,
        processes: &Processes,
        inodes: &mut Inodes<'_>,
    ) -> Result<(), KernelError> {
        let program = "handle_adopt";
        let failed = |cause| KernelError::Attach { program, cause, log: log::take() };
        let link = self.skel.progs.handle_adopt.attach().map_err(failed)?;
        let adoption = Adoption {
            link: link.as_fd(),
            adoptees: &self.skel.maps.adoptees,
            counters: &self.skel.maps.counters,
            at_birth: &|| 0,
        };
        match target {
            Target::Binaries(_) => {
                adoption.repeat(|| candidates(identities, inodes, false, index_of)).map(drop)
            }
            Target::Processes(_) => adoption.repeat(|| Ok(processes.candidates.clone())).map(drop),
            Target::Children => Ok(()),
        }
    }

    /// Waits for new programs, at most `timeout`, and adds their names. Returns how many these
    /// were. A signal that interrupts the wait is no error.
    ///
    /// # Errors
    /// The ring buffer cannot be read.
    pub fn poll(&mut self, timeout: Duration) -> Result<usize, KernelError> {
        const AT_A_TIME: usize = 64;
        ring::take(&self.skel.maps.new_programs, "new_programs", timeout, AT_A_TIME, |bytes| {
            self.names.add(bytes);
        })
    }

    /// Frees the room of runs that have ended. To be called about every second.
    ///
    /// # Errors
    /// A map cannot be read or changed.
    pub fn tidy(&self) -> Result<(), KernelError> {
        let forgotten = learned::forget_ended(&borrow_record_maps!(self.skel.maps, &))?;
        tracing::debug!("forgot what {forgotten} ended runs had taken");
        Ok(())
    }

    /// Whether a recorded thread is alive.
    #[must_use]
    pub fn live(&self) -> bool {
        self.skel.maps.live_runs.keys().next().is_some()
    }

    /// The machines so far, of each program that had a run and has a name, in the order in which
    /// the programs were given, or seen.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn learned(&self) -> Result<Vec<Learned>, KernelError> {
        let mut all: Vec<Learned> = Vec::new();
        let mut indices: HashMap<&str, usize> = HashMap::new();
        for (number, recorded) in
            learned::read(&borrow_record_maps!(self.skel.maps, &), self.depth)?
        {
            let Some(name) = self.names.known.get(&number) else { continue };
            // A script that was exec'd from several directories has several numbers.
            if let Some(same) = indices.get(name.as_str()).and_then(|&at| all.get_mut(at)) {
                same.runs += recorded.runs;
                // All machines of a recording have one depth.
                let _ = same.machine.merge(&recorded.machine);
                continue;
            }
            indices.insert(name, all.len());
            all.push(Learned {
                binary: name.as_str().into(),
                machine: recorded.machine,
                runs: recorded.runs,
            });
        }
        Ok(all)
    }

    /// By the path of a program, who started its runs, as far as they were learned.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn starters(&self) -> Result<BTreeMap<&str, Starters>, KernelError> {
        let mut all: BTreeMap<&str, Starters> = BTreeMap::new();
        let found = starters::read(&self.skel.maps.run_users, &self.skel.maps.run_cgroups)?;
        for (number, starters) in found {
            if let Some(name) = self.names.known.get(&number) {
                all.entry(name).or_default().add(starters);
            }
        }
        Ok(all)
    }

    /// The programs that were seen and have no name: the paths that were given to exec.
    #[must_use]
    pub fn nameless(&self) -> Vec<&UntrustedText> {
        self.names.nameless.values().collect()
    }

    /// The path that was given to the exec of the first program, if that has no name.
    #[must_use]
    pub fn nameless_first(&self) -> Option<&UntrustedText> {
        self.names.nameless.get(&1)
    }

    /// The totals so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn totals(&self) -> Result<RecordTotals, KernelError> {
        let counted = Totals::read(&self.skel.maps.counters)?;
        let mut totals = RecordTotals {
            calls: counted.judged,
            frames_dropped: counted.frames_dropped,
            fallback_threads: counted.fallback_threads,
            threads_refused: counted.threads_refused,
            adopted: counted.adopted,
            recursion_misses: self.attached.recursion_misses()?,
            ..RecordTotals::default()
        };
        if let Some(data) = self.skel.maps.bss_data.as_ref() {
            totals.runs = data.last_run.into();
            totals.transitions = data.edges_used;
            totals.transitions_lost = data.edges_lost;
            totals.contexts_lost = data.nodes_lost;
            totals.programs_lost = data.programs_lost;
            totals.runs_uncertain = data.runs_uncertain;
            totals.starters_lost = data.run_users_lost + data.run_cgroups_lost;
            totals.stray_returns = data.stray_returns;
            let up =
                nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
            totals.quiet = (data.newest > 0)
                .then(|| up.unwrap_or_default().saturating_sub(Duration::from_nanos(data.newest)));
        }
        Ok(totals)
    }

    /// Detaches the programs. What was recorded can still be read.
    pub fn detach(&mut self) {
        self.hooks.detach();
    }
}

/// The names of programs that are numbered in this order, from 1.
fn named<'a>(names: impl IntoIterator<Item = &'a String>) -> Names {
    Names { known: (1..).zip(names.into_iter().cloned()).collect(), ..Names::default() }
}

/// Copies bytes into a C string, whose last byte stays zero.
fn write_text(to: &mut [i8], from: &[u8]) {
    let room = to.len().saturating_sub(1);
    for (slot, &byte) in to.iter_mut().take(room).zip(from) {
        *slot = i8::from_ne_bytes([byte]);
    }
}
