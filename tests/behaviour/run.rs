//! Runs of `behave`: what a run is given, and what it has written down.

#![allow(unsafe_code)]

use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};
use std::fs::File;
use std::mem::{offset_of, size_of};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;
use sysfsm_fixtures::behaviour::{Record, Trace, PATH, RECORDS, SLOTS, TRACE};
use sysfsm_testing::fixture;
use sysfsm_testing::lab::Lab;
use sysfsm_testing::random::Random;

/// How long a run may take.
const PATIENCE: &str = "20000";

/// What decides how a run behaves, but for the order of its tasks.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The seed of the run.
    pub seed: u64,
    /// The first task's actions.
    pub budget: u32,
    /// Of 100 actions, how many are no harmless calls.
    pub wild: u32,
    /// Whether it makes tasks.
    pub births: bool,
}

impl Plan {
    /// A plan by chance.
    pub fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        Plan {
            seed: random.number(),
            budget: 20 + u32::try_from(random.below(250)).unwrap(),
            wild: random.pick(&[5, 20, 40, 60]),
            births: random.below(3) > 0,
        }
    }
}

/// The file of a run, mapped.
pub struct Mapped {
    at: NonNull<Trace>,
}

// SAFETY: the mapping is this value's alone.
unsafe impl Send for Mapped {}
// SAFETY: while a run is being made what is looked at is atomic.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(path: &Path) -> Self {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let file = file.unwrap();
        let size = size_of::<Trace>();
        file.set_len(size.next_multiple_of(4096) as u64).unwrap();
        let length = NonZeroUsize::new(size).unwrap();
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping of a file that is as long.
        let at = unsafe { mmap(None, length, prot, MapFlags::MAP_SHARED, &file, 0) }.unwrap();
        Mapped { at: at.cast() }
    }

    fn trace(&self) -> &Trace {
        // SAFETY: mapped as long as this lives. All zeros is a valid value.
        unsafe { self.at.as_ref() }
    }

    /// What the tasks have written.
    pub fn records(&self) -> Vec<&[Record]> {
        let trace = self.trace();
        let of = |slot: usize| {
            let count = trace.slots[slot].count.load(Relaxed) as usize;
            &trace.records[slot][..count.min(RECORDS)]
        };
        (0..SLOTS).map(of).collect()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`.
        unsafe { munmap(self.at.cast(), size_of::<Trace>()) }.unwrap();
    }
}

fn text(path: &Path) -> [u8; PATH] {
    let mut text = [0; PATH];
    let bytes = path.as_os_str().as_bytes();
    text[..bytes.len()].copy_from_slice(bytes);
    text
}

/// A run that is yet to be made.
pub struct Prepared {
    path: PathBuf,
    program: PathBuf,
    mapped: Mapped,
}

/// Prepares a run of the first of the programs. `hold`: after how many records its tasks wait until
/// they may go on.
pub fn prepare(
    lab: &Lab,
    programs: &[PathBuf],
    plan: Plan,
    number: u32,
    hold: Option<u32>,
) -> Prepared {
    let path = lab.path(&format!("trace-{number}"));
    let mut mapped = Mapped::new(&path);
    // SAFETY: nobody else has the mapping yet.
    let trace = unsafe { mapped.at.as_mut() };
    trace.run = number;
    trace.used = 1.into();
    trace.seed = plan.seed;
    trace.programs = u32::try_from(programs.len()).unwrap();
    trace.wild = plan.wild;
    trace.births = plan.births.into();
    trace.hold = hold.unwrap_or_default();
    trace.go = u32::from(hold.is_none()).into();
    trace.own = text(&path);
    for (to, program) in trace.paths.iter_mut().zip(programs) {
        *to = text(program);
    }
    let mut random = Random(plan.seed);
    for (index, slot) in (0_u64..).zip(&mut trace.slots) {
        slot.random = (random.number() | 1).into();
        slot.tag = (u64::from(number) << 32 | index << 16).into();
        let offset = offset_of!(Trace, records) as u64;
        slot.records = (TRACE + offset + index * (RECORDS * size_of::<Record>()) as u64).into();
    }
    trace.slots[0].budget = i32::try_from(plan.budget).unwrap().into();
    Prepared { path, program: programs[0].clone(), mapped }
}

impl Prepared {
    /// Makes the run: to the end of the program, and of all that it makes.
    pub fn run(&self, lab: &Lab) -> Result<(), String> {
        let mut command = Command::new(fixture("nursery"));
        command.arg(PATIENCE).arg(&self.program).arg(&self.path).arg("0");
        let ended = lab.start(&mut command).end();
        drop(std::fs::remove_file(&self.path));
        if ended.status.success() {
            Ok(())
        } else {
            Err(format!("the nursery: {}: {}", ended.status, ended.stderr))
        }
    }

    /// What the run has written.
    pub fn mapped(self) -> Mapped {
        self.mapped
    }

    /// How many records each task has written so far.
    pub fn counts(&self) -> Vec<u32> {
        self.mapped.trace().slots.iter().map(|slot| slot.count.load(Relaxed)).collect()
    }

    /// Lets the tasks go on.
    pub fn go(&self) {
        let go = &self.mapped.trace().go;
        go.store(1, Relaxed);
        // SAFETY: wakes who waits there.
        unsafe { libc::syscall(libc::SYS_futex, go.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
    }
}
