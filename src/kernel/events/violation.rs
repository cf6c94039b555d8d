//! What the kernel reports, turned into the words of the upper layers.

use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use crate::kernel::events::stack::RecentMappings;
use crate::kernel::events::stack::Snapshot;
use crate::kernel::policies::policy_set::PolicySet;
use crate::machine::{Context, Depth, Reason};
use crate::policy::{Action, Policy};
use crate::syscall::{Abi, CallName, Symbol};
use crate::table::State;
use libbpf_rs::{MapCore, MapFlags};
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What makes violations alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The policy that it is a violation of.
    pub policy: Arc<Policy>,
    /// Why.
    pub reason: Reason,
    /// The context of the thread's state.
    pub context: Context,
    /// The call; of a foreign ABI as `@i386` or `@x32`.
    pub symbol: String,
    /// A foreign call's number in its own table.
    pub number: Option<u32>,
    /// What was done.
    pub action: Action,
}

/// A violation that the kernel has judged.
#[derive(Debug, Clone)]
pub struct Violation {
    /// When.
    pub time: SystemTime,
    /// What it is.
    pub kind: Kind,
    /// The thread group.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The thread's name.
    pub comm: String,
    /// The call's six argument registers.
    pub args: [u64; 6],
    /// Where the program called from.
    pub ip: u64,
    /// It was to be killed, and the kernel refused to.
    pub kill_failed: bool,
    /// The user stack, of the first of its kind where the machine is to learn.
    pub stack: Option<Snapshot>,
}

/// Totals of an enforcement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls of watched threads.
    pub judged: u64,
    /// Violations among them.
    pub violations: u64,
    /// Violations that were answered with SIGKILL.
    pub kills: u64,
    /// Violations where the kernel refused to send it.
    pub kills_failed: u64,
    /// Violations that were answered with a refusal of the call only.
    pub denials: u64,
    /// Calls that were judged at an enforcement point, both programs at `sys_enter` having been
    /// left out (see `missed`).
    pub caught_up: u64,
    /// Refusals at enforcement points. A call may meet several, or none that asks.
    pub vetoes: u64,
    /// What watched threads tried on the enforcer or its BPF objects, and were refused.
    pub protections: u64,
    /// Violations whose event found no room in the ring buffer.
    pub events_lost: u64,
    /// Frames dropped, handlers being nested past the limit.
    pub frames_dropped: u64,
    /// Threads whose state had to wait in a spare place until their first call.
    pub spares: u64,
    /// Threads whose state found no room: their process was killed, or, under `log`, went on
    /// unwatched.
    pub threads_refused: u64,
    /// Times at the most that the kernel left both programs of a hook out, so that something of
    /// some process went unseen: from 7.0 on one can be preempted, and a task of the same CPU that
    /// comes to it then runs on without it (`__bpf_trace_run`, `kernel/trace/bpf_trace.c`). Before
    /// 7.0 always 0.
    pub missed: u64,
    /// Running threads that were taken under their policy.
    pub adopted: u64,
    /// Violations of kinds that found no room to be counted apart. They are among all the same.
    pub untallied: u64,
}

impl Totals {
    /// Reads the counters of all CPUs; not `missed`, which is the kernel's own.
    pub(crate) fn read(counters: &impl MapCore) -> Result<Self, KernelError> {
        let cpus = counters
            .lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)
            .map_err(|cause| KernelError::Read { map: "counters", cause })?
            .unwrap_or_default();
        let mut totals = Totals::default();
        for cpu in cpus {
            if let Some(counters) = wire::record(&cpu) {
                totals.add(&counters);
            }
        }
        Ok(totals)
    }

    /// Adds one CPU's.
    fn add(&mut self, cpu: &types::sysfsm_counters) {
        self.judged += cpu.judged;
        self.violations += cpu.violations;
        self.kills += cpu.kills;
        self.kills_failed += cpu.kills_failed;
        self.denials += cpu.denials;
        self.caught_up += cpu.caught_up;
        self.vetoes += cpu.vetoes;
        self.protections += cpu.protections;
        self.events_lost += cpu.events_lost;
        self.frames_dropped += cpu.frames_dropped;
        self.spares += cpu.spares;
        self.threads_refused += cpu.threads_refused;
        self.adopted += cpu.adopted;
        self.untallied += cpu.untallied;
    }
}

/// Turns wire events into violations.
#[derive(Default)]
pub(crate) struct EventReader {
    policies: HashMap<u32, Arc<Policy>>,
    /// What the states stand for.
    contexts: HashMap<State, Context>,
    seen: RecentMappings,
}

/// Wall clock time when the kernel's monotonic clock, which events have, was 0. It moves: the wall
/// clock is set, and the other stands still while the machine sleeps.
pub(crate) fn epoch() -> SystemTime {
    let up = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
    SystemTime::now() - up.unwrap_or_default()
}

impl EventReader {
    /// A reader of events about these policies.
    pub(crate) fn of(policy_set: &PolicySet) -> Self {
        let mut reader = EventReader::default();
        reader.update(policy_set);
        reader
    }

    /// From now on there are these policies, and those that they know of from before.
    pub(crate) fn update(&mut self, policy_set: &PolicySet) {
        self.policies =
            policy_set.known().map(|(number, slot)| (number, slot.policy.clone())).collect();
        let rows = policy_set.known().flat_map(|(_, slot)| &slot.compiled.rows);
        self.contexts = rows.map(|row| (row.state, row.context)).collect();
    }

    pub(crate) fn read(&self, epoch: SystemTime, bytes: &[u8]) -> Option<Violation> {
        let event: types::sysfsm_event = wire::record(bytes)?;
        // What is longer begins with an event.
        let outside = bytes.get(mem::offset_of!(types::sysfsm_sighting, outside)..);
        // Before anything else: the process may end at any moment.
        let stack = Snapshot::read(&self.seen, &event, bytes);
        let kind = self.kind(&types::sysfsm_kind_of_violation {
            policy: event.policy,
            state: event.state,
            nr: event.nr,
            verdict: event.verdict,
            abi: event.abi,
            action: event.action,
            pad: 0,
        })?;
        let comm: Vec<u8> =
            event.comm.iter().map(|&c| c.to_ne_bytes()[0]).take_while(|&c| c != 0).collect();
        Some(Violation {
            time: epoch + Duration::from_nanos(event.time),
            kind: Kind {
                context: outside.and_then(context_outside).unwrap_or(kind.context),
                ..kind
            },
            pid: event.pid,
            tid: event.tid,
            comm: String::from_utf8_lossy(&comm).into_owned(),
            args: event.args,
            ip: event.ip,
            kill_failed: event.kill_failed != 0,
            stack,
        })
    }

    /// What a violation is; none if it is of a policy that is not known any more.
    pub(crate) fn kind(&self, kind: &types::sysfsm_kind_of_violation) -> Option<Kind> {
        let abi = match kind.abi {
            1 => Some(Abi::I386),
            2 => Some(Abi::X32),
            _ => None,
        };
        Some(Kind {
            policy: self.policies.get(&kind.policy)?.clone(),
            reason: reason(kind.verdict),
            context: self.contexts.get(&kind.state).copied().unwrap_or(Context::EMPTY),
            symbol: abi.map_or_else(|| CallName(kind.nr).to_string(), |abi| abi.symbol().into()),
            number: abi.map(|_| kind.nr & !0x4000_0000),
            action: match kind.action {
                1 => Action::Log,
                2 => Action::Deny,
                _ => Action::Kill,
            },
        })
    }
}

/// Why a verdict (`enum sysfsm_verdict`) is none of `SYSFSM_ALLOWED`.
pub(crate) fn reason(verdict: u8) -> Reason {
    match verdict {
        2 => Reason::Abi,
        3 => Reason::Sigreturn,
        _ => Reason::Transition,
    }
}

/// A context that is none of the machine's, where there is one.
fn context_outside(bytes: &[u8]) -> Option<Context> {
    let history: types::sysfsm_history = wire::record(bytes)?;
    let symbols =
        history.symbols.iter().take(history.len as usize).map(|&code| Symbol::from_code(code));
    let widest = Depth::all().last().unwrap_or_default();
    (history.len > 0).then(|| Context::of(symbols, widest))
}
