//! Violations, as the kernel reports them and as the upper layers have them.

use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire;
use crate::kernel::events::stack::RecentMappings;
use crate::kernel::events::stack::Snapshot;
use crate::kernel::policies::policy_set::PolicySet;
use crate::machine::{Context, Depth, Reason};
use crate::policy::{Action, Policy};
use crate::syscall::{Abi, CallName, Symbol};
use crate::table::State;
use crate::text::UntrustedText;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The kind of a violation. Violations of one kind are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The policy that was violated.
    pub policy: Arc<Policy>,
    /// Why the call is a violation.
    pub reason: Reason,
    /// The context of the thread's state.
    pub context: Context,
    /// Violations from several contexts are counted together: `context` is empty.
    pub any_context: bool,
    /// The call's name; `@i386` or `@x32` for a call of a foreign ABI.
    pub symbol: String,
    /// The number of a foreign call in the table of its ABI.
    pub number: Option<u32>,
    /// What was done about it.
    pub action: Action,
}

/// A violation that the kernel has judged.
#[derive(Debug, Clone)]
pub struct Violation {
    /// When the call was made.
    pub time: SystemTime,
    /// The kind of violation.
    pub kind: Kind,
    /// The id of the process.
    pub pid: u32,
    /// The id of the thread.
    pub tid: u32,
    /// The thread's name.
    pub comm: UntrustedText,
    /// The call's six argument registers.
    pub args: [u64; 6],
    /// The address that the call was made from.
    pub ip: u64,
    /// The process was to be killed, and the kernel refused to send SIGKILL.
    pub kill_failed: bool,
    /// The user stack: of the first violation of a kind, with [`Options::complain`].
    ///
    /// [`Options::complain`]: crate::kernel::Options::complain
    pub stack: Option<Snapshot>,
}

/// Turns the kernel's events into violations.
#[derive(Default)]
pub(crate) struct EventReader {
    policies: HashMap<u32, Arc<Policy>>,
    /// By state, the context that it stands for.
    contexts: HashMap<State, Context>,
    recent_mappings: RecentMappings,
}

/// The wall clock time at which the kernel's monotonic clock, whose times events have, was 0. It
/// changes: the wall clock may be set, and the other one stands still while the machine sleeps.
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

    /// From now on the events are about these policies, draining ones included.
    pub(crate) fn update(&mut self, policy_set: &PolicySet) {
        self.policies =
            policy_set.known().map(|(number, slot)| (number, slot.policy.clone())).collect();
        let rows = policy_set.known().flat_map(|(_, slot)| &slot.compiled.rows);
        self.contexts = rows.map(|row| (row.state, row.context())).collect();
    }

    /// The violation of an event's bytes; `None` if its policy has retired, or the bytes are too
    /// few.
    pub(crate) fn read(&self, epoch: SystemTime, bytes: &[u8]) -> Option<Violation> {
        let event: types::sysfsm_event = wire::record(bytes)?;
        // A longer record begins with an event.
        let unmodelled = bytes.get(mem::offset_of!(types::sysfsm_complain_event, unmodelled)..);
        // The mappings are read before anything else, since the process may end at any moment.
        let stack = Snapshot::read(&self.recent_mappings, &event, bytes);
        let kind = self.kind(&event.kind)?;
        let comm: Vec<u8> =
            event.comm.iter().map(|&c| c.to_ne_bytes()[0]).take_while(|&c| c != 0).collect();
        Some(Violation {
            time: epoch + Duration::from_nanos(event.time),
            kind: Kind {
                context: unmodelled.and_then(unmodelled_context).unwrap_or(kind.context),
                ..kind
            },
            pid: event.pid,
            tid: event.tid,
            comm: UntrustedText::from_bytes(&comm),
            args: event.args,
            ip: event.ip,
            kill_failed: event.kill_failed != 0,
            stack,
        })
    }

    /// The kind of a violation; `None` if its policy has retired.
    pub(crate) fn kind(&self, kind: &types::sysfsm_violation_kind) -> Option<Kind> {
        let abi = match types::sysfsm_abi(kind.abi.into()) {
            types::sysfsm_abi::SYSFSM_I386 => Some(Abi::I386),
            types::sysfsm_abi::SYSFSM_X32 => Some(Abi::X32),
            _ => None,
        };
        Some(Kind {
            policy: self.policies.get(&kind.policy)?.clone(),
            reason: reason(kind.verdict),
            context: self.contexts.get(&kind.state).copied().unwrap_or(Context::EMPTY),
            any_context: false,
            symbol: abi.map_or_else(|| CallName(kind.nr).to_string(), |abi| abi.symbol().into()),
            number: abi.map(|_| kind.nr & !0x4000_0000),
            action: match types::sysfsm_action(kind.action.into()) {
                types::sysfsm_action::SYSFSM_LOG => Action::Log,
                types::sysfsm_action::SYSFSM_DENY => Action::Deny,
                _ => Action::Kill,
            },
        })
    }
}

impl Kind {
    /// The kind of counted violations that may have been made by any number from
    /// `SYSFSM_CALLS` on, which no kernel has.
    pub(crate) fn of_unknown_calls(mut self) -> Self {
        if self.number.take().is_none() {
            self.symbol = format!("syscall_{}+", types::sysfsm_limit::SYSFSM_CALLS.0);
        }
        self
    }
}

/// Why a call with this verdict (`enum sysfsm_verdict`) is a violation.
pub(crate) fn reason(verdict: u8) -> Reason {
    match types::sysfsm_verdict(verdict.into()) {
        types::sysfsm_verdict::SYSFSM_ABI => Reason::Abi,
        types::sysfsm_verdict::SYSFSM_SIGRETURN => Reason::Sigreturn,
        _ => Reason::Transition,
    }
}

/// A context that the machine does not have, where the event has one.
fn unmodelled_context(bytes: &[u8]) -> Option<Context> {
    let history: types::sysfsm_history = wire::record(bytes)?;
    let symbols =
        history.symbols.iter().take(history.len as usize).map(|&code| Symbol::from_code(code));
    let widest = Depth::all().last().unwrap_or_default();
    (history.len > 0).then(|| Context::of(symbols, widest))
}
