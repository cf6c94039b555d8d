//! Whether what runs at a tracepoint can be preempted.

use nix::sys::utsname::uname;

/// Since Linux 7.0 (`__DECLARE_TRACE`, `include/linux/tracepoint.h`: the probes run under SRCU, no more with preemption
/// off). Nothing else of the kernel tells, so that its version has to; one that cannot be read is taken for a younger.
pub(super) fn tracepoints_are_preemptible() -> bool {
    let major = || uname().ok()?.release().to_str()?.split('.').next()?.parse::<u32>().ok();
    major().is_none_or(|major| major >= 7)
}
