//! Recording, from the attached programs to what they have learned.

use crate::kernel::adopt::Adoption;
use crate::kernel::bpf::entries::{self, put};
use crate::kernel::bpf::log;
use crate::kernel::bpf::ring;
use crate::kernel::bpf::skeleton::{types, RecordSkel, RecordSkelBuilder};
use crate::kernel::error::KernelError;
use crate::kernel::events::totals::Totals;
use crate::kernel::hooks::{choose, tracepoints, Attached, Hooks};
use crate::kernel::identity::binaries::{identify, index_of, Identities, Wanted};
use crate::kernel::identity::inode::Inodes;
use crate::kernel::identity::maps::{self as bind, borrow_identity_maps, Bound, IdentityMaps};
use crate::kernel::identity::processes::{candidates, Candidate, WatchedProcesses};
use crate::kernel::record::learned::{self, borrow_record_maps, RecordMaps, Room};
use crate::kernel::record::names::{running, Names, Running};
use crate::kernel::support::preemption::AttachMode;
use crate::kernel::support::privileges::{require_btf, require_privilege};
use crate::machine::{Depth, Learned};
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::MapCore as _;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// What is recorded.
#[derive(Debug, Clone)]
pub enum Target {
    /// These binaries, wherever they run: absolute paths, or file names.
    Binaries(Vec<String>),
    /// What this process starts from now on, and all that comes of it.
    Children,
    /// These processes, and all that comes of them from now on.
    Processes(Vec<u32>),
}

/// How it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct RecordOptions {
    /// The length of the machines' window.
    pub depth: Depth,
    /// How many transitions the kernel has room for, of all programs together.
    pub room: u32,
}

/// How far a recording is.
#[derive(Debug, Clone, Copy, Default)]
pub struct RecordTotals {
    /// Calls of recorded threads.
    pub calls: u64,
    /// Runs that were begun, or adopted.
    pub runs: u64,
    /// Different transitions.
    pub transitions: u64,
    /// How long ago the last new one was seen; none before the first.
    pub quiet: Option<Duration>,
    /// Calls whose transition found no room.
    pub transitions_lost: u64,
    /// Calls whose context found no room.
    pub contexts_lost: u64,
    /// Execs whose program found no room.
    pub programs_lost: u64,
    /// Calls whose run could not be remembered, so that the runs of their transition may be too
    /// few.
    pub runs_uncertain: u64,
    /// `rt_sigreturn` with no handler active.
    pub stray_returns: u64,
    /// Frames dropped, handlers being nested past the limit.
    pub frames_dropped: u64,
    /// Threads whose state waited in the fallback map until their first call.
    pub fallback_threads: u64,
    /// Threads whose state found no room: what they did was not recorded.
    pub threads_refused: u64,
    /// Times at the most that the kernel left all programs of a hook out (see
    /// [`Totals::recursion_misses`]).
    pub recursion_misses: u64,
    /// Running threads that were taken in.
    pub adopted: u64,
}

/// The programs that collect transitions, in the kernel. Dropping it detaches them.
pub struct Recorder {
    skel: RecordSkel<'static>,
    hooks: Hooks,
    attached: Attached,
    names: Names,
    depth: Depth,
}

impl Recorder {
    /// Attaches the programs: from then on everything that the target does is counted.
    ///
    /// # Errors
    /// What is missing, on this machine or of the target.
    pub fn start(target: &Target, options: RecordOptions) -> Result<Self, KernelError> {
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

    /// Takes running threads in.
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
        };
        let none = WatchedProcesses::new();
        match target {
            Target::Binaries(_) => {
                adoption.repeat(|| candidates(identities, inodes, &none, false, index_of)).map(drop)
            }
            Target::Processes(_) => adoption.repeat(|| Ok(processes.candidates.clone())).map(drop),
            Target::Children => Ok(()),
        }
    }

    /// Waits for a new program, `timeout` at the most, and takes in the names of those that there
    /// are. How many these were.
    ///
    /// # Errors
    /// The ring buffer cannot be read. A signal that interrupts the wait is none.
    pub fn poll(&mut self, timeout: Duration) -> Result<usize, KernelError> {
        const AT_A_TIME: usize = 64;
        ring::take(&self.skel.maps.new_programs, "new_programs", timeout, AT_A_TIME, |bytes| {
            self.names.add(bytes);
        })
    }

    /// Gives room back that runs had which have ended. To be called every second or so.
    ///
    /// # Errors
    /// A map cannot be read or changed.
    pub fn tidy(&self) -> Result<(), KernelError> {
        let forgotten = learned::forget_ended(&borrow_record_maps!(self.skel.maps, &))?;
        tracing::debug!("forgot what {forgotten} ended runs had taken");
        Ok(())
    }

    /// Whether anything that is recorded is alive.
    #[must_use]
    pub fn live(&self) -> bool {
        self.skel.maps.live_runs.keys().next().is_some()
    }

    /// What was learned so far, of each program that had a run and has a name: in the order in
    /// which they were given, or met.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn learned(&self) -> Result<Vec<Learned>, KernelError> {
        let mut all: Vec<Learned> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (number, recorded) in
            learned::read(&borrow_record_maps!(self.skel.maps, &), self.depth)?
        {
            let Some(name) = self.names.known.get(&number) else { continue };
            // A script that was exec'd from several directories has several numbers.
            if let Some(same) = places.get(name.as_str()).and_then(|&at| all.get_mut(at)) {
                same.runs += recorded.runs;
                // All are of one depth.
                let _ = same.machine.merge(&recorded.machine);
                continue;
            }
            places.insert(name, all.len());
            all.push(Learned {
                binary: name.as_str().into(),
                machine: recorded.machine,
                runs: recorded.runs,
            });
        }
        Ok(all)
    }

    /// The programs that were met and have no name: by the paths that their execs gave.
    #[must_use]
    pub fn nameless(&self) -> Vec<&str> {
        self.names.nameless.values().map(String::as_str).collect()
    }

    /// The same of the first program of all, if it is one of them.
    #[must_use]
    pub fn nameless_first(&self) -> Option<&str> {
        self.names.nameless.get(&1).map(String::as_str)
    }

    /// How far it is.
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
            totals.stray_returns = data.stray_returns;
            let up =
                nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
            totals.quiet = (data.newest > 0)
                .then(|| up.unwrap_or_default().saturating_sub(Duration::from_nanos(data.newest)));
        }
        Ok(totals)
    }

    /// Takes the programs off. What they have learned is still there.
    pub fn detach(&mut self) {
        self.hooks.detach();
    }
}

/// The processes that are to be recorded.
#[derive(Default)]
struct Processes {
    candidates: Vec<Candidate>,
    /// What they run, each once.
    programs: Vec<Running>,
}

impl Processes {
    fn find(pids: &[u32], inodes: &mut Inodes<'_>) -> Result<Self, KernelError> {
        let mut found = Processes::default();
        let mut problems = Vec::new();
        for &pid in pids {
            if pid == std::process::id() {
                problems.push((
                    format!("process `{pid}` is this one"),
                    "it cannot record itself".into(),
                ));
                continue;
            }
            let process = match running(pid, inodes)? {
                Ok(process) => process,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let exe = process.exe;
            let same = |p: &Running| (p.from, &p.path) == (process.from, &process.path);
            let program = found.programs.iter().position(same).unwrap_or(found.programs.len());
            if program == found.programs.len() {
                found.programs.push(process);
            }
            found.candidates.push(Candidate { pid, exe, binary: Some(index_of(program)) });
        }
        if problems.is_empty() {
            Ok(found)
        } else {
            Err(KernelError::Bind(problems))
        }
    }
}

fn named<'a>(names: impl IntoIterator<Item = &'a String>) -> Names {
    Names { known: (1..).zip(names.into_iter().cloned()).collect(), ..Names::default() }
}

fn load(
    target: &Target,
    options: RecordOptions,
    identities: &Identities,
    mode: AttachMode,
) -> Result<RecordSkel<'static>, KernelError> {
    /// An event has more than 8 KiB: about 480 may wait to be read.
    const RING_BYTES: u32 = 4 << 20;
    let refused = |cause| KernelError::Load { cause, log: log::take() };
    // The skeleton borrows its object; there is one a process, so that leaking it costs nothing.
    let object = Box::leak(Box::new(MaybeUninit::uninit()));
    let mut open = RecordSkelBuilder::default().open(object).map_err(refused)?;
    let room = Room { transitions: options.room, programs: (options.room / 16).max(4096) };
    if let Some(rodata) = open.maps.rodata_data.as_mut() {
        rodata.preemptible = mode.preemptible();
        rodata.tree = !matches!(target, Target::Binaries(_));
        rodata.depth = options.depth.get().into();
        rodata.edge_bits = room.edge_bits();
    }
    choose!(open, mode);
    let maps = &mut open.maps;
    bind::resize(
        &mut borrow_identity_maps!(maps, &mut),
        &Bound::in_order(identities),
        |entries| entries,
    )?;
    learned::resize(&mut borrow_record_maps!(maps, &mut), room)?;
    maps.programs.set_max_entries(room.programs).map_err(refused)?;
    maps.new_programs.set_max_entries(RING_BYTES).map_err(refused)?;
    open.load().map_err(refused)
}

/// Copies bytes into a C string, leaving its last zero.
fn write_text(to: &mut [i8], from: &[u8]) {
    let room = to.len().saturating_sub(1);
    for (slot, &byte) in to.iter_mut().take(room).zip(from) {
        *slot = i8::from_ne_bytes([byte]);
    }
}
