//! A policy as the kernel's maps have it.

use crate::kernel::bpf::entries::Batch;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::policies::effective_policy::EffectivePolicy;
use crate::machine::{self, Context};
use crate::policy::{Action, Children};
use crate::table::{CompiledMachine, Row};

/// The replacement of a policy that has none. Its threads are not watched any more, and no exec
/// comes under it.
pub(crate) const NO_REPLACEMENT: u32 = types::sysfsm_marker::SYSFSM_NO_REPLACEMENT.0;

/// A policy as the kernel's maps have it.
#[derive(Debug, Clone, Copy)]
pub struct LoadedPolicy<'a> {
    /// Its number, from 1.
    pub number: u32,
    /// Its machine, in the table.
    pub compiled: &'a CompiledMachine,
    /// What it demands besides.
    pub effective: EffectivePolicy,
}

impl LoadedPolicy<'_> {
    /// The rows at which a thread can go on after a violation, which it does under [`Action::Log`]
    /// only.
    pub(crate) fn follow_targets(&self) -> impl Iterator<Item = &Row> {
        let logs = self.effective.action == Action::Log;
        self.compiled.rows.iter().filter(move |row| logs && row.known)
    }

    /// The rows whose context the kernel asks for after a violation. At depth 2 it asks for none:
    /// there the context after the violation is the violating symbol.
    pub(crate) fn followed(&self) -> impl Iterator<Item = &Row> {
        let logs = self.compiled.entry.depth.get() > 2 && self.effective.action == Action::Log;
        self.compiled.rows.iter().filter(move |_| logs)
    }

    /// A state of the machine as the kernel has it.
    fn context(&self, of: machine::State) -> types::sysfsm_context {
        let (context, partial) = match of {
            machine::State::In(context) => (context, 0),
            machine::State::Lost(seen) => (seen, 1),
        };
        types::sysfsm_context { policy: self.number, partial, history: history(&context) }
    }

    /// The entries of `far_cells`.
    pub(crate) fn far(&self) -> Batch {
        let mut far = Batch::new("far_cells");
        for cell in &self.compiled.far {
            far.push(&types::sysfsm_far { state: cell.state, nr: cell.call }, &cell.next);
        }
        far
    }

    /// The entries of `contexts`.
    pub(crate) fn contexts(&self) -> Batch {
        let mut contexts = Batch::new("contexts");
        for row in self.follow_targets() {
            contexts.push(&self.context(row.of), &row.state);
        }
        contexts
    }

    /// The entries of `histories`.
    pub(crate) fn histories(&self) -> Batch {
        let mut histories = Batch::new("histories");
        for row in self.followed() {
            histories.push(&row.state, &self.context(row.of));
        }
        histories
    }

    /// The entry of `policies`, for a policy that nobody is under yet.
    pub(crate) fn policy(&self) -> types::sysfsm_policy {
        let (entry, effective) = (&self.compiled.entry, self.effective);
        types::sysfsm_policy {
            exec: entry.exec,
            lost: entry.lost,
            depth: u32::from(entry.depth.get()),
            action: match effective.action {
                Action::Kill => types::sysfsm_action::SYSFSM_KILL,
                Action::Log if effective.complain => types::sysfsm_action::SYSFSM_COMPLAIN,
                Action::Log => types::sysfsm_action::SYSFSM_LOG,
                Action::Deny => types::sysfsm_action::SYSFSM_DENY,
            }
            .0,
            inherit: u32::from(effective.children == Children::Inherit),
            replacement: NO_REPLACEMENT,
            signals: entry.signals,
            padding: 0,
        }
    }
}

/// The symbols of a context as the kernel has them.
fn history(context: &Context) -> types::sysfsm_history {
    let mut history = types::sysfsm_history::default();
    for (slot, symbol) in history.symbols.iter_mut().zip(context.symbols()) {
        *slot = symbol.to_code();
        history.len += 1;
    }
    history
}
