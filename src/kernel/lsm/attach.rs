//! The vetoes in place: programs at the enforcement points, which refuse denied calls.

use crate::kernel::bpf::background;
use crate::kernel::bpf::functions::Functions;
use crate::kernel::bpf::skeleton::{types::sysfsm_deny_coverage as DenyCoverage, EnforceSkel};
use crate::kernel::bpf::template::{AttachPoint, Template};
use crate::kernel::error::KernelError;
use crate::kernel::level::Level;
use crate::kernel::lsm::call_functions::{to_guard, young_without_arguments, BODY, FUNCTION};
use crate::kernel::lsm::enforcement_points::{
    is_partial, EnforcementPoint, Guard, ENFORCEMENT_POINTS, PROTECTIONS, SWITCHES,
};
use crate::kernel::support::deny_mechanisms::DenyMechanisms;
use crate::kernel::support::self_test::SelfTest;
use crate::syscall;
use libbpf_rs::skel::Skel as _;
use std::mem;
use std::os::fd::OwnedFd;

/// The vetoes at the enforcement points of this kernel. Dropping them frees the points.
pub(crate) struct Vetoes {
    links: Vec<OwnedFd>,
    /// How many LSM hooks, and how many functions of calls, have a veto.
    pub hooks: usize,
    pub functions: usize,
    /// The enforcement points that this kernel lacks, or allows no veto at.
    pub unsupported: Vec<String>,
    /// The level that the vetoes reach.
    pub level: Level,
    /// By which it is tried whether vetoes still work; `None` without vetoes.
    pub self_test: Option<SelfTest>,
    /// The calls whose effects are all refused (a call may be here twice), and those of which some
    /// are.
    full: Vec<&'static str>,
    partial: Vec<&'static str>,
}

impl Vetoes {
    /// Attaches programs to all enforcement points that this kernel has, up to a level. With
    /// `judge_at_hook` the programs judge calls that the programs at `sys_enter` have missed. With
    /// `self_protect` the enforcer is protected, and what is pinned, too, if it is `pinned`.
    ///
    /// # Errors
    /// The kernel's functions cannot be read. What cannot be attached is no error: it lowers the
    /// level, or is unsupported.
    pub(crate) fn attach(
        skel: &EnforceSkel<'_>,
        mut mechanisms: DenyMechanisms,
        at_most: Level,
        judge_at_hook: bool,
        self_protect: bool,
        pinned: bool,
    ) -> Result<Self, KernelError> {
        let mut vetoes = Vetoes {
            links: mem::take(&mut mechanisms.links),
            hooks: 0,
            functions: 0,
            unsupported: Vec::new(),
            level: mechanisms.level().min(at_most),
            self_test: None,
            full: Vec::new(),
            partial: Vec::new(),
        };
        if vetoes.level == Level::Kill {
            return Ok(vetoes);
        }
        let functions = Functions::read(&["bpf_lsm_", "security_", FUNCTION, BODY])?;
        let templates = Templates::of(skel, judge_at_hook);
        for point in ENFORCEMENT_POINTS {
            let point = match SWITCHES {
                (hook, guard) if self_protect && point.hook == hook => &point.with(guard),
                _ => point,
            };
            if vetoes.guard(point, &templates, &mechanisms, &functions) {
                vetoes.hooks += 1;
                let (partial, full) = point.calls.split_whitespace().partition(|c| is_partial(c));
                vetoes.full.extend::<Vec<_>>(full);
                vetoes.partial.extend::<Vec<_>>(partial);
            } else {
                vetoes.unsupported.push(point.hook.into());
                if point.core {
                    vetoes.level = Level::Kill;
                }
            }
        }
        for point in
            PROTECTIONS.iter().filter(|point| self_protect && (pinned || !point.guard.is_of_pins()))
        {
            if !vetoes.guard(point, &templates, &mechanisms, &functions) {
                vetoes.unsupported.push(format!("{} (self-protection)", point.hook));
            }
        }
        if vetoes.level == Level::Prevent {
            vetoes.guard_calls(&templates, &functions);
        }
        if let Some(self_test) = mechanisms.self_test.take() {
            self_test.expect(&mechanisms.needed_for(vetoes.level));
            vetoes.self_test = Some(self_test);
        }
        Ok(vetoes)
    }

    /// Guards one enforcement point: by the LSM hook where the kernel runs LSM programs, else by
    /// the function that asks the hook.
    fn guard(
        &mut self,
        point: &EnforcementPoint,
        templates: &Templates<'_>,
        mechanisms: &DenyMechanisms,
        functions: &Functions,
    ) -> bool {
        let template = templates.of_guard(point.guard);
        let hook = || functions.id(&format!("bpf_lsm_{}", point.hook)).map(AttachPoint::Lsm);
        let function = || functions.id(&point.function()).map(AttachPoint::Function);
        let points = [
            mechanisms.lsm.is_ok().then(hook).flatten(),
            // The kernel may refuse a program at the hook and take it at the function that asks it.
            mechanisms.function.is_ok().then(function).flatten(),
        ];
        let mut points = points.into_iter().flatten();
        let put = |at| template.put(point.hook, at).ok();
        let Some(link) = points.find_map(put) else { return false };
        self.links.push(link);
        if point.private {
            // Where the first was the function there is no second.
            self.links.extend(points.find_map(put));
        }
        true
    }

    /// Guards the functions of all 64-bit calls that this kernel has, known to this program or not,
    /// whatever hooks there are besides: what a hook is asked about is not all that a call does. The
    /// kernel takes no programs at functions of the 32-bit table (`__ia32_sys_*`: -EINVAL on 7.3).
    fn guard_calls(&mut self, templates: &Templates<'_>, functions: &Functions) {
        let veto = templates.of_guard(Guard::Veto);
        let hooked = self.full.clone();
        self.full.clear();
        for (call, id) in to_guard(functions) {
            match veto.put(call, AttachPoint::Function(id)) {
                Ok(link) => {
                    self.links.push(link);
                    self.functions += 1;
                    // Of a call that is younger than this program the number is not known. It is
                    // refused all the same, and under `deny` its process is killed.
                    self.full.extend(syscall::number(call).and_then(syscall::name));
                }
                Err(_) => self.unguarded(call),
            }
        }
        for call in young_without_arguments(functions) {
            self.unguarded(call);
        }
        // Calls without arguments that hooks refuse, such as fork.
        self.full.extend(hooked);
    }

    /// The function of a call can have no veto. So the level is another one.
    fn unguarded(&mut self, call: &str) {
        self.unsupported.push(call.into());
        self.level = self.level.min(Level::Contain);
    }

    /// How much of the call with this number is denied.
    pub(crate) fn coverage(&self, number: u32) -> DenyCoverage {
        let Some(name) = syscall::name(number) else {
            return DenyCoverage::SYSFSM_DENY_COVERAGE_NONE;
        };
        if self.full.contains(&name) {
            DenyCoverage::SYSFSM_DENY_COVERAGE_FULL
        } else if self.partial.contains(&name) {
            DenyCoverage::SYSFSM_DENY_COVERAGE_PARTIAL
        } else {
            DenyCoverage::SYSFSM_DENY_COVERAGE_NONE
        }
    }

    /// Frees the enforcement points, in a process of its own: each takes the kernel a tenth of a
    /// second and more. The vetoes must refuse nothing any more.
    pub(crate) fn release(&mut self) {
        background::drop_in(mem::take(&mut self.links));
    }

    /// The links of the attached programs.
    pub(crate) fn links(&self) -> &[OwnedFd] {
        &self.links
    }
}

/// The programs of `bpf/veto.h`, as templates.
struct Templates<'a> {
    veto: Template<'a>,
    capability: Template<'a>,
    key: Template<'a>,
    task: Template<'a>,
    owner: Template<'a>,
    objects: Template<'a>,
    pins: Template<'a>,
    mount: Template<'a>,
    write: Template<'a>,
    lockdown: Template<'a>,
    load_data: Template<'a>,
    read_file: Template<'a>,
}

impl<'a> Templates<'a> {
    fn of(skel: &'a EnforceSkel<'_>, judge_at_hook: bool) -> Self {
        let (object, programs) = (skel.object(), &skel.progs);
        let (veto, write) = if judge_at_hook {
            (&programs.veto_judging, &programs.veto_write_judging)
        } else {
            (&programs.veto, &programs.veto_write)
        };
        Templates {
            veto: Template::of(object, veto),
            capability: Template::of(object, &programs.veto_capability),
            key: Template::of(object, &programs.veto_key),
            task: Template::of(object, &programs.protect_task),
            owner: Template::of(object, &programs.protect_owner),
            objects: Template::of(object, &programs.protect_bpf),
            pins: Template::of(object, &programs.protect_pins),
            mount: Template::of(object, &programs.protect_mount),
            write: Template::of(object, write),
            lockdown: Template::of(object, &programs.protect_lockdown),
            load_data: Template::of(object, &programs.protect_load_data),
            read_file: Template::of(object, &programs.protect_read_file),
        }
    }

    /// The template of a guard.
    fn of_guard(&self, guard: Guard) -> &Template<'a> {
        match guard {
            Guard::Veto => &self.veto,
            Guard::VetoCapability => &self.capability,
            Guard::VetoKey => &self.key,
            Guard::ProtectTask => &self.task,
            Guard::ProtectOwner => &self.owner,
            Guard::ProtectObjects => &self.objects,
            Guard::ProtectPins => &self.pins,
            Guard::ProtectMount => &self.mount,
            Guard::VetoWrite => &self.write,
            Guard::ProtectLockdown => &self.lockdown,
            Guard::ProtectLoadData => &self.load_data,
            Guard::ProtectReadFile => &self.read_file,
        }
    }
}

impl Drop for Vetoes {
    fn drop(&mut self) {
        self.release();
    }
}
