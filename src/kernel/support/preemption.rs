//! Whether what runs at a tracepoint can be preempted, and what is done about it (`bpf/preempt.h`).

use crate::kernel::support::trials;
use nix::sys::utsname::uname;

/// How the programs of tracepoints get their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttachMode {
    /// Nothing preempts them, so that none is ever left out.
    NonPreemptible,
    /// They can be preempted. Each has a second program, for what the first was not shown; the
    /// first one for calls is on the classic tracepoint, whose programs cannot be preempted.
    ClassicFirst,
    /// The same without the classic tracepoint: there is no tracefs.
    Dual,
}

impl AttachMode {
    /// Finds out what this kernel needs and has. `preemptible` says that programs are to be taken
    /// for preemptible even where they are not.
    pub(crate) fn find(preemptible: bool) -> Self {
        if !preemptible && !tracepoints_are_preemptible() {
            AttachMode::NonPreemptible
        } else if trials::classic().is_ok() {
            AttachMode::ClassicFirst
        } else {
            AttachMode::Dual
        }
    }

    pub(crate) fn preemptible(self) -> bool {
        self != AttachMode::NonPreemptible
    }
}

/// Since Linux 7.0 (`__DECLARE_TRACE`, `include/linux/tracepoint.h`: the probes run under SRCU, no
/// more with preemption off). Nothing else of the kernel tells, so that its version has to; one
/// that cannot be read is taken for a younger.
pub(crate) fn tracepoints_are_preemptible() -> bool {
    let major = || uname().ok()?.release().to_str()?.split('.').next()?.parse::<u32>().ok();
    major().is_none_or(|major| major >= 7)
}
