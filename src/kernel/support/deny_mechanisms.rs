//! By which mechanisms calls can be denied on this kernel, found out by denying some.

use crate::kernel::bpf::functions::Functions;
use crate::kernel::bpf::log;
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::{types, ProbeSkelBuilder};
use crate::kernel::bpf::template::{AttachPoint, Template};
use crate::kernel::error::KernelError;
use crate::kernel::identity::inode::Inodes;
use crate::kernel::level::Level;
use crate::kernel::support::trials::{programs, VETO};
use libbpf_rs::skel::{OpenSkel as _, Skel as _, SkelBuilder as _};
use nix::errno::Errno;
use nix::sched::sched_getaffinity;
use nix::unistd::{getpgid, getpid, getsid};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};

/// The mechanisms. Each is `Ok`, or says why it does not work here.
#[derive(Debug)]
pub struct DenyMechanisms {
    /// LSM programs deny. Where `bpf` is missing in the list of LSMs they load, attach, and never
    /// run.
    pub lsm: Result<(), String>,
    /// `fmod_ret` programs on the functions that ask the LSMs deny.
    pub function: Result<(), String>,
    /// `fmod_ret` programs on the functions of system calls deny.
    pub call: Result<(), String>,
    /// The links of the programs that were tried. They deny nothing any more. Closing them takes
    /// the kernel long.
    pub(crate) links: Vec<OwnedFd>,
    /// The map that these programs keep alive.
    pub(crate) map: Option<types::sysfsm_object>,
}

impl DenyMechanisms {
    /// No mechanism. Trying them takes some tenths of a second at the start, and more at the end.
    pub(crate) fn untried() -> Self {
        let untried = || Err("not tried".to_string());
        DenyMechanisms {
            lsm: untried(),
            function: untried(),
            call: untried(),
            links: Vec::new(),
            map: None,
        }
    }

    /// Tries each mechanism on a call of this process that changes nothing.
    ///
    /// # Errors
    /// The program that is tried cannot be loaded.
    pub(crate) fn find(inodes: &Inodes<'_>) -> Result<Self, KernelError> {
        let refused = |cause| KernelError::Load { cause, log: log::take() };
        let mut object = MaybeUninit::uninit();
        let mut open = ProbeSkelBuilder::default().open(&mut object).map_err(refused)?;
        for (index, program) in programs(&mut open).into_iter().enumerate() {
            program.set_autoload(index == VETO);
        }
        open.maps.storage.set_autocreate(false).map_err(refused)?;
        open.maps.ring.set_autocreate(false).map_err(refused)?;
        let mut skel = open.load().map_err(refused)?;
        if let Some(data) = skel.maps.bss_data.as_mut() {
            data.prober = inodes.process()?;
        }
        let functions =
            Functions::read(&["bpf_lsm_task_get", "security_task_get", "__x64_sys_getpgid"])?;
        let veto = Template::of(skel.object(), &skel.progs.try_veto);
        let mut links = Vec::new();
        let mut attempt = |function: &str,
                           point: fn(u32) -> AttachPoint,
                           call: fn() -> Result<(), Errno>| {
            let id =
                functions.id(function).ok_or_else(|| format!("the kernel has no `{function}`"))?;
            let link = veto
                .put("try_veto", point(id))
                .map_err(|e| format!("the kernel refuses a program on `{function}`: {e}"))?;
            links.push(link);
            match call() {
                Err(Errno::EPERM) => Ok(()),
                _ => Err(format!("a program on `{function}` is attached and never runs")),
            }
        };
        let map = objects::map(skel.maps.bss.as_fd())
            .map_err(|cause| KernelError::Read { map: "probe.bss", cause: cause.into() })?;
        // Each mechanism has a call of its own: the denial by one is not taken for another's.
        let mechanisms = DenyMechanisms {
            lsm: attempt("bpf_lsm_task_getsid", AttachPoint::Lsm, || {
                getsid(Some(getpid())).map(drop)
            }),
            function: attempt("security_task_getscheduler", AttachPoint::Function, || {
                sched_getaffinity(getpid()).map(drop)
            }),
            call: attempt("__x64_sys_getpgid", AttachPoint::Function, || {
                getpgid(Some(getpid())).map(drop)
            }),
            links,
            map: Some(map),
        };
        if let Some(data) = skel.maps.bss_data.as_mut() {
            data.prober = 0;
        }
        Ok(mechanisms)
    }

    /// The level that the mechanisms make possible.
    #[must_use]
    pub fn level(&self) -> Level {
        match (self.lsm.is_ok() || self.function.is_ok(), self.call.is_ok()) {
            (true, true) => Level::Prevent,
            (true, false) => Level::Contain,
            (false, _) => Level::Kill,
        }
    }
}
