//! The constants of `bpf/sysfsm.h` against those of the layers that know nothing of BPF: what they
//! do not agree on does not compile.

use crate::kernel::bpf::skeleton::types::{sysfsm_limit as Limit, sysfsm_symbol as Code};
use crate::machine::{MAX_DEPTH, MAX_HANDLERS};
use crate::policy::cgroup::{MAX_CGROUP_LEVELS, MAX_CGROUP_PATH};
use crate::syscall::{nr, Symbol};
use crate::table::{CALLS, SIGNALS};

const _: () = {
    assert!(CALLS == Limit::SYSFSM_CALLS.0);
    assert!(SIGNALS == Limit::SYSFSM_SIGNALS.0 as usize);
    assert!(MAX_HANDLERS == Limit::SYSFSM_HANDLERS.0 as usize);
    // A context has one symbol less than the window.
    assert!((MAX_DEPTH as usize) <= Limit::SYSFSM_HISTORY.0 as usize);
    // A context has one symbol less than the window.
    assert!((MAX_DEPTH as usize) <= Limit::SYSFSM_HISTORY.0 as usize);
    assert!(MAX_CGROUP_LEVELS == Limit::SYSFSM_LEVELS.0 as usize);
    assert!(MAX_CGROUP_PATH == Limit::SYSFSM_PATH.0 as usize);
    assert!(Symbol::Signal(0).to_code() == Code::SYSFSM_SIGNAL_BASE.0);
    assert!(nr::RESTART_SYSCALL == Code::SYSFSM_NO_SYMBOL.0);
};
