//! Whether this kernel refuses calls: found out by making some, whose refusal changes nothing.
//!
//! The programs that were tried before enforcement began stay in place beside the vetoes. They
//! refuse a process that says so for as long as it tries. What switches off programs on functions
//! and hooks switches these off too.

use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::{types, ProbeData};
use crate::kernel::error::KernelError;
use crate::kernel::identity::inode::Inodes;
use libbpf_rs::MapHandle;
use nix::errno::Errno;
use nix::sched::sched_getaffinity;
use nix::unistd::{getpgid, getpid, getsid};
use std::mem::{offset_of, MaybeUninit};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

/// A mechanism by which calls are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// LSM programs.
    Lsm,
    /// `fmod_ret` programs on the functions that ask the LSMs.
    Function,
    /// `fmod_ret` programs on the functions of system calls.
    Call,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Mechanism; 3] = [Mechanism::Lsm, Mechanism::Function, Mechanism::Call];

    /// The mechanism's word in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::Lsm => "lsm",
            Mechanism::Function => "function",
            Mechanism::Call => "call",
        }
    }

    /// The function with the program that is tried. Each mechanism has a call of its own: the
    /// denial by one is not taken for another's.
    pub(crate) fn tried_at(self) -> &'static str {
        match self {
            Mechanism::Lsm => "bpf_lsm_task_getsid",
            Mechanism::Function => "security_task_getscheduler",
            Mechanism::Call => "__x64_sys_getpgid",
        }
    }

    /// Makes the call. Whether the call is refused.
    fn is_refused(self) -> bool {
        let own = getpid();
        let result = match self {
            Mechanism::Lsm => getsid(Some(own)).map(drop),
            Mechanism::Function => sched_getaffinity(own).map(drop),
            Mechanism::Call => getpgid(Some(own)).map(drop),
        };
        result == Err(Errno::EPERM)
    }

    /// Its bit among those that work.
    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The variables of the programs that are tried. They are there as long as the programs are.
#[derive(Debug)]
pub(crate) struct SelfTest {
    map: MapHandle,
    data: Mapped<ProbeData>,
}

impl SelfTest {
    /// The name under which the variables are pinned.
    pub(crate) const PIN: &'static str = "self_test";

    /// With the map of the variables.
    ///
    /// # Errors
    /// The map cannot be mapped into this process.
    pub(crate) fn of(map: MapHandle) -> Result<Self, KernelError> {
        Ok(SelfTest { data: Mapped::whole(&map, SelfTest::PIN)?, map })
    }

    /// The map of the variables.
    pub(crate) fn map(&self) -> &MapHandle {
        &self.map
    }

    /// The map, as a BPF object that is protected.
    ///
    /// # Errors
    /// Its id cannot be read.
    pub(crate) fn object(&self) -> Result<types::sysfsm_object, KernelError> {
        objects::map(self.map.as_fd())
            .map_err(|cause| KernelError::Read { map: SelfTest::PIN, cause: cause.into() })
    }

    /// Tries a mechanism, whose program is in place. A single attempt may fail where the kernel
    /// leaves a program out that another task is in (`bpf/preempt.h`), and one that another process
    /// makes at the same time says nothing of ours.
    ///
    /// # Errors
    /// The id of this process cannot be read.
    pub(crate) fn works(&self, mechanism: Mechanism) -> Result<bool, KernelError> {
        const TRIES: usize = 5;
        const BETWEEN: Duration = Duration::from_millis(10);
        let (prober, own) = (offset_of!(ProbeData, prober), own_process()?);
        let mut works = false;
        for attempt in 0..TRIES {
            if attempt > 0 {
                sleep(BETWEEN);
            }
            self.data.store(prober, own);
            works = mechanism.is_refused();
            if works {
                break;
            }
        }
        self.data.store(prober, 0_u32);
        Ok(works)
    }

    /// Says which mechanisms work as enforcement begins, and are needed.
    pub(crate) fn expect(&self, mechanisms: &[Mechanism]) {
        let bits = mechanisms.iter().fold(0, |bits, mechanism| bits | mechanism.bit());
        self.data.store(offset_of!(ProbeData, working), bits);
    }

    /// The mechanisms that worked when enforcement began, and do not now.
    ///
    /// # Errors
    /// The id of this process cannot be read.
    pub(crate) fn failing(&self) -> Result<Vec<Mechanism>, KernelError> {
        let expected: u32 = self.data.load(offset_of!(ProbeData, working));
        let mut failing = Vec::new();
        for mechanism in Mechanism::ALL {
            if expected & mechanism.bit() != 0 && !self.works(mechanism)? {
                failing.push(mechanism);
            }
        }
        Ok(failing)
    }

    /// The cgroup of the process that was last refused and those above it, by their numbers.
    pub(crate) fn cgroups(&self) -> impl Iterator<Item = u64> + '_ {
        let size = types::sysfsm_limit::SYSFSM_ENFORCER_CGROUPS.0 as usize;
        let first = offset_of!(ProbeData, cgroups);
        (0..size).map(move |index| self.data.load(first + index * size_of::<u64>()))
    }
}

/// The id of this process in the kernel's initial process namespace, once it is known.
static OWN: OnceLock<u32> = OnceLock::new();

/// The id of this process in the kernel's initial process namespace.
///
/// # Errors
/// The kernel refuses the program that finds it.
pub(crate) fn own_process() -> Result<u32, KernelError> {
    match OWN.get() {
        Some(own) => Ok(*own),
        None => find_own_process(&Inodes::load(&mut MaybeUninit::uninit())?),
    }
}

/// Finds the id of this process by a program that is loaded already.
///
/// # Errors
/// The program cannot be run.
pub(crate) fn find_own_process(inodes: &Inodes<'_>) -> Result<u32, KernelError> {
    let own = inodes.process()?;
    Ok(*OWN.get_or_init(|| own))
}
