//! By which mechanisms calls can be denied on this kernel, found out by denying some.

use crate::kernel::bpf::functions::Functions;
use crate::kernel::bpf::log;
use crate::kernel::bpf::skeleton::ProbeSkelBuilder;
use crate::kernel::bpf::template::{AttachPoint, Template};
use crate::kernel::error::KernelError;
use crate::kernel::level::Level;
use crate::kernel::support::self_test::{Mechanism, SelfTest};
use crate::kernel::support::trials::{programs, VETO};
use libbpf_rs::skel::{OpenSkel as _, Skel as _, SkelBuilder as _};
use libbpf_rs::MapHandle;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

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
    /// By which the mechanisms are tried again.
    pub(crate) self_test: Option<SelfTest>,
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
            self_test: None,
        }
    }

    /// Tries each mechanism on a call of this process that changes nothing.
    ///
    /// # Errors
    /// The program that is tried cannot be loaded.
    pub(crate) fn find() -> Result<Self, KernelError> {
        let refused = |cause| KernelError::Load { cause, log: log::take() };
        let mut object = MaybeUninit::uninit();
        let mut open = ProbeSkelBuilder::default().open(&mut object).map_err(refused)?;
        for (index, program) in programs(&mut open).into_iter().enumerate() {
            program.set_autoload(index == VETO);
        }
        open.maps.storage.set_autocreate(false).map_err(refused)?;
        open.maps.ring.set_autocreate(false).map_err(refused)?;
        let skel = open.load().map_err(refused)?;
        let self_test = SelfTest::of(MapHandle::try_from(&skel.maps.bss).map_err(refused)?)?;
        let functions = Functions::read(&Mechanism::ALL.map(Mechanism::tried_at))?;
        let veto = Template::of(skel.object(), &skel.progs.try_veto);
        let mut links = Vec::new();
        let mut attempt = |mechanism: Mechanism, point: fn(u32) -> AttachPoint| {
            let function = mechanism.tried_at();
            let id =
                functions.id(function).ok_or_else(|| format!("the kernel has no `{function}`"))?;
            let link = veto
                .put("try_veto", point(id))
                .map_err(|e| format!("the kernel refuses a program on `{function}`: {e}"))?;
            links.push(link);
            match self_test.works(mechanism) {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("a program on `{function}` is attached and never runs")),
                Err(e) => Err(e.to_string()),
            }
        };
        Ok(DenyMechanisms {
            lsm: attempt(Mechanism::Lsm, AttachPoint::Lsm),
            function: attempt(Mechanism::Function, AttachPoint::Function),
            call: attempt(Mechanism::Call, AttachPoint::Function),
            links,
            self_test: Some(self_test),
        })
    }

    /// The mechanisms that work, and that a level needs.
    pub(crate) fn needed_for(&self, level: Level) -> Vec<Mechanism> {
        let works = |mechanism: &Mechanism| match mechanism {
            Mechanism::Lsm => level > Level::Kill && self.lsm.is_ok(),
            Mechanism::Function => level > Level::Kill && self.function.is_ok(),
            Mechanism::Call => level > Level::Contain && self.call.is_ok(),
        };
        Mechanism::ALL.into_iter().filter(works).collect()
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
