//! The contexts that the states of watched threads stand for.

use crate::kernel::error::KernelError;
use crate::kernel::pinned::manifest::Watched;
use crate::kernel::pinned::set::Pinned;
use crate::machine::Context;
use crate::table::State;
use std::collections::HashMap;

/// By state, the context that it stands for, of all policies of a set.
#[derive(Debug, Clone, Default)]
pub struct Contexts(HashMap<State, Context>);

impl Contexts {
    /// The context of a watched thread. It is empty if the thread's past is unknown, and at depth
    /// 1. `None`: the thread's policy was added after the contexts were read.
    #[must_use]
    pub fn of(&self, thread: &Watched) -> Option<Context> {
        self.0.get(&thread.state).copied()
    }
}

impl Pinned {
    /// The contexts of the set's policies; none of a set of another version. All policies are read:
    /// ask again only when the manifest has changed.
    ///
    /// # Errors
    /// The manifest's policies cannot be read.
    pub fn contexts(&self) -> Result<Contexts, KernelError> {
        if !self.manifest.is_ours() {
            return Ok(Contexts::default());
        }
        let policy_set = self.manifest.policy_set()?;
        let rows = policy_set.known().flat_map(|(_, slot)| &slot.compiled.rows);
        Ok(Contexts(rows.map(|row| (row.state, row.context())).collect()))
    }
}
