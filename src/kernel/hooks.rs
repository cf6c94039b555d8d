//! The programs at the tracepoints: attached together, and asked how often the kernel has left them
//! out.

use crate::kernel::bpf::bpffs::PinDirectory;
use crate::kernel::bpf::log;
use crate::kernel::error::KernelError;
use crate::kernel::support::preemption::AttachMode;
use libbpf_rs::{Link, ProgramMut};
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

/// A tracepoint, and what can be put there.
pub(crate) struct Hook<'a> {
    pub name: &'static str,
    /// What runs where nothing preempts it.
    pub sure: &'a ProgramMut<'a>,
    /// What runs first where it can be preempted.
    pub first: &'a ProgramMut<'a>,
    /// What follows it.
    pub again: &'a ProgramMut<'a>,
    /// What runs first instead where that can be had.
    pub classic: Option<&'a ProgramMut<'a>>,
}

/// The programs of `bpf/hooks.h`, of whichever skeleton has them: births, ends and signals before
/// calls and execs, so that no thread is watched whose children or handlers are not.
macro_rules! tracepoints {
    ($skel:expr) => {{
        use $crate::kernel::hooks::Hook;
        let programs = &$skel.progs;
        let hook = |name, first, again| Hook { name, sure: first, first, again, classic: None };
        [
            hook("task_newtask", &programs.newtask_primary, &programs.newtask_fallback),
            hook("sched_process_exit", &programs.exit_primary, &programs.exit_fallback),
            hook("signal_deliver", &programs.signal_primary, &programs.signal_fallback),
            Hook {
                sure: &programs.sys_enter,
                classic: Some(&programs.sys_enter_classic),
                ..hook("sys_enter", &programs.sys_enter_primary, &programs.sys_enter_fallback)
            },
            hook("sched_process_exec", &programs.exec_primary, &programs.exec_fallback),
        ]
    }};
}
pub(crate) use tracepoints;

/// Chooses those of them that are of use, in a skeleton that is not loaded yet: each costs a part
/// of the start.
macro_rules! choose {
    ($open:expr, $mode:expr) => {{
        use $crate::kernel::support::preemption::AttachMode;
        let (programs, mode): (_, AttachMode) = (&mut $open.progs, $mode);
        programs.sys_enter.set_autoload(mode == AttachMode::NonPreemptible);
        programs.sys_enter_primary.set_autoload(mode == AttachMode::Dual);
        programs.sys_enter_classic.set_autoload(mode == AttachMode::ClassicFirst);
        for again in [
            &mut programs.sys_enter_fallback,
            &mut programs.newtask_fallback,
            &mut programs.exit_fallback,
            &mut programs.signal_fallback,
            &mut programs.exec_fallback,
        ] {
            again.set_autoload(mode.preemptible());
        }
    }};
}
pub(crate) use choose;

/// Tracepoints with their programs. Dropping it takes them off.
#[derive(Default)]
pub(crate) struct Hooks {
    links: Vec<(&'static str, Link)>,
}

impl Hooks {
    /// Attaches the programs in this order. Also what tells how often the kernel leaves them out.
    pub(crate) fn attach(
        hooks: &[Hook<'_>],
        mode: AttachMode,
    ) -> Result<(Self, Attached), KernelError> {
        let (mut all, mut attached) = (Hooks::default(), Attached::default());
        for hook in hooks {
            let programs = match (mode, hook.classic) {
                (AttachMode::NonPreemptible, _) => vec![hook.sure],
                // The kernel runs them in the order in which they came (func_add,
                // kernel/tracepoint.c).
                (AttachMode::ClassicFirst, Some(classic)) => vec![classic, hook.again],
                (AttachMode::ClassicFirst | AttachMode::Dual, _) => vec![hook.first, hook.again],
            };
            for program in programs {
                let failed =
                    |cause| KernelError::Attach { program: hook.name, cause, log: log::take() };
                all.links.push((hook.name, program.attach().map_err(failed)?));
                attached.add(
                    hook.name,
                    program.as_fd().try_clone_to_owned().map_err(|e| failed(e.into()))?,
                );
            }
        }
        Ok((all, attached))
    }

    /// Each with the tracepoint that it is at.
    pub(crate) fn links(&self) -> impl Iterator<Item = (&'static str, &Link)> {
        self.links.iter().map(|(hook, link)| (*hook, link))
    }

    /// Takes the programs off.
    pub(crate) fn detach(&mut self) {
        self.links.clear();
    }
}

/// The names of the pinned programs begin with this.
const PROGRAM: &str = "program_hook_";

/// The programs at each hook, for the kernel's count of them. It can be asked when they have been
/// taken off, too.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    programs: BTreeMap<String, Vec<OwnedFd>>,
}

impl Attached {
    fn add(&mut self, hook: &str, program: OwnedFd) {
        self.programs.entry(hook.into()).or_default().push(program);
    }

    /// Pins them.
    pub(crate) fn pin(&self, directory: &PinDirectory) -> Result<(), KernelError> {
        for (hook, programs) in &self.programs {
            for (number, program) in programs.iter().enumerate() {
                directory.pin(&format!("{PROGRAM}{hook}_{number}"), program.as_fd())?;
            }
        }
        Ok(())
    }

    /// The programs that are pinned in a directory.
    pub(crate) fn pinned(directory: &PinDirectory) -> Result<Self, KernelError> {
        let mut attached = Attached::default();
        for (name, program) in directory.all(PROGRAM)? {
            attached.add(name.rsplit_once('_').map_or(&*name, |(hook, _)| hook), program);
        }
        Ok(attached)
    }

    /// How often the kernel may have left out all the programs of a hook, for whatever process.
    pub(crate) fn missed(&self) -> Result<u64, KernelError> {
        let mut sum = 0;
        for (hook, programs) in &self.programs {
            let counts = programs.iter().map(left_out).collect::<Result<Vec<u64>, _>>()?;
            tracing::debug!("{hook}: programs were left out {counts:?} times");
            sum += counts.into_iter().min().unwrap_or(0);
        }
        Ok(sum)
    }
}

/// How often the kernel has left out a program, since it was loaded.
fn left_out(program: &OwnedFd) -> Result<u64, KernelError> {
    let path = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
    let text = std::fs::read_to_string(path).map_err(KernelError::Proc)?;
    let times = |line: &str| line.strip_prefix("recursion_misses:")?.trim().parse().ok();
    Ok(text.lines().find_map(times).unwrap_or(0))
}
