//! Whether programs at tracepoints can be preempted, and what is done about it (`bpf/preempt.h`).

use crate::kernel::support::trials;
use nix::sys::utsname::uname;

/// How programs are attached at tracepoints, so that no event is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachMode {
    /// Nothing preempts a program at a tracepoint. The kernel never skips one, so that one program
    /// each is enough.
    NonPreemptible,
    /// Programs can be preempted, and the kernel skips a program that is running on the CPU
    /// already. Each tracepoint has a second program, which handles what the first one was skipped
    /// for. The first one for calls is on the classic tracepoint, whose programs cannot be
    /// preempted.
    ClassicFirst,
    /// Programs can be preempted, and there is no classic tracepoint, for want of tracefs. Each
    /// tracepoint has two programs. Both may be skipped.
    Dual,
}

impl AttachMode {
    /// The mode that this kernel needs. With `preemptible` programs are taken for preemptible even
    /// where they are not.
    pub(crate) fn find(preemptible: bool) -> Self {
        if !preemptible && !tracepoints_are_preemptible() {
            AttachMode::NonPreemptible
        } else if trials::classic().is_ok() {
            AttachMode::ClassicFirst
        } else {
            AttachMode::Dual
        }
    }

    /// Whether programs are taken for preemptible.
    pub(crate) fn preemptible(self) -> bool {
        self != AttachMode::NonPreemptible
    }
}

/// Whether programs at tracepoints can be preempted. They can since Linux 7.0, where probes run
/// under SRCU, with preemption on (`__DECLARE_TRACE`, `include/linux/tracepoint.h`). Only the
/// kernel's version says so. A version that cannot be read is taken for 7.0 or newer.
pub(crate) fn tracepoints_are_preemptible() -> bool {
    let major = || uname().ok()?.release().to_str()?.split('.').next()?.parse::<u32>().ok();
    major().is_none_or(|major| major >= 7)
}
