//! The programs at the tracepoints: which of them are attached, and how often the kernel has
//! skipped them.

use crate::kernel::bpf::bpffs::PinDirectory;
use crate::kernel::bpf::log;
use crate::kernel::error::KernelError;
use crate::kernel::support::preemption::AttachMode;
use libbpf_rs::{Link, ProgramMut};
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

/// A tracepoint, and the programs for it.
pub(crate) struct Hook<'a> {
    /// The tracepoint's name.
    pub name: &'static str,
    /// The only program, under [`AttachMode::NonPreemptible`].
    pub non_preemptible: &'a ProgramMut<'a>,
    /// The first of two programs, under the other modes.
    pub primary: &'a ProgramMut<'a>,
    /// The second of two programs. It handles what the first one was not run for.
    pub fallback: &'a ProgramMut<'a>,
    /// The first of two programs under [`AttachMode::ClassicFirst`], where there is one.
    pub classic: Option<&'a ProgramMut<'a>>,
}

/// The programs of `bpf/hooks.h` in a skeleton, in the order in which they are to be attached:
/// births, ends and signals before calls and execs, so that no thread is watched before its
/// children and its handlers are.
macro_rules! tracepoints {
    ($skel:expr) => {{
        use $crate::kernel::hooks::Hook;
        let programs = &$skel.progs;
        let hook = |name, primary, fallback| Hook {
            name,
            non_preemptible: primary,
            primary,
            fallback,
            classic: None,
        };
        [
            hook("task_newtask", &programs.newtask_primary, &programs.newtask_fallback),
            hook("sched_process_exit", &programs.exit_primary, &programs.exit_fallback),
            hook("signal_deliver", &programs.signal_primary, &programs.signal_fallback),
            Hook {
                non_preemptible: &programs.sys_enter,
                classic: Some(&programs.sys_enter_classic),
                ..hook("sys_enter", &programs.sys_enter_primary, &programs.sys_enter_fallback)
            },
            hook("sched_process_exec", &programs.exec_primary, &programs.exec_fallback),
        ]
    }};
}
pub(crate) use tracepoints;

/// Chooses the programs of `bpf/hooks.h` that a mode needs, in a skeleton that is not loaded yet:
/// each program takes its time at the start.
macro_rules! choose {
    ($open:expr, $mode:expr) => {{
        use $crate::kernel::support::preemption::AttachMode;
        let (programs, mode): (_, AttachMode) = (&mut $open.progs, $mode);
        programs.sys_enter.set_autoload(mode == AttachMode::NonPreemptible);
        programs.sys_enter_primary.set_autoload(mode == AttachMode::Dual);
        programs.sys_enter_classic.set_autoload(mode == AttachMode::ClassicFirst);
        for fallback in [
            &mut programs.sys_enter_fallback,
            &mut programs.newtask_fallback,
            &mut programs.exit_fallback,
            &mut programs.signal_fallback,
            &mut programs.exec_fallback,
        ] {
            fallback.set_autoload(mode.preemptible());
        }
    }};
}
pub(crate) use choose;

/// The links of programs at tracepoints. Dropping it detaches them.
#[derive(Default)]
pub(crate) struct Hooks {
    links: Vec<(&'static str, Link)>,
}

impl Hooks {
    /// Attaches the programs in the order of `hooks`. Also returns the programs themselves, by
    /// which the kernel's count of them is read.
    pub(crate) fn attach(
        hooks: &[Hook<'_>],
        mode: AttachMode,
    ) -> Result<(Self, Attached), KernelError> {
        let (mut all, mut attached) = (Hooks::default(), Attached::default());
        for hook in hooks {
            let programs = match (mode, hook.classic) {
                (AttachMode::NonPreemptible, _) => vec![hook.non_preemptible],
                // The kernel runs programs in the order in which they were attached (func_add,
                // kernel/tracepoint.c).
                (AttachMode::ClassicFirst, Some(classic)) => vec![classic, hook.fallback],
                (AttachMode::ClassicFirst | AttachMode::Dual, _) => {
                    vec![hook.primary, hook.fallback]
                }
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

    /// The links, each with its tracepoint.
    pub(crate) fn links(&self) -> impl Iterator<Item = (&'static str, &Link)> {
        self.links.iter().map(|(hook, link)| (*hook, link))
    }

    /// Detaches the programs.
    pub(crate) fn detach(&mut self) {
        self.links.clear();
    }
}

/// The names of the pinned programs begin with this.
const PROGRAM: &str = "program_hook_";

/// The programs at each tracepoint, by which the kernel's count of them is read, also when they are
/// detached.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    programs: BTreeMap<String, Vec<OwnedFd>>,
}

impl Attached {
    fn add(&mut self, hook: &str, program: OwnedFd) {
        self.programs.entry(hook.into()).or_default().push(program);
    }

    /// Pins the programs.
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

    /// How often the kernel may have skipped all programs of a tracepoint, at most, for any
    /// process.
    pub(crate) fn recursion_misses(&self) -> Result<u64, KernelError> {
        let mut sum = 0;
        for (hook, programs) in &self.programs {
            let counts = programs.iter().map(misses_of).collect::<Result<Vec<u64>, _>>()?;
            tracing::debug!("{hook}: programs were skipped {counts:?} times");
            sum += counts.into_iter().min().unwrap_or(0);
        }
        Ok(sum)
    }
}

/// How often the kernel has skipped a program since it was loaded.
fn misses_of(program: &OwnedFd) -> Result<u64, KernelError> {
    let path = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
    let text = std::fs::read_to_string(path).map_err(KernelError::Proc)?;
    let times = |line: &str| line.strip_prefix("recursion_misses:")?.trim().parse().ok();
    Ok(text.lines().find_map(times).unwrap_or(0))
}
