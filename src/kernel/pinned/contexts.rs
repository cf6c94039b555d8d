//! What the states of watched threads stand for, for who does not attend to them.

use crate::kernel::error::KernelError;
use crate::kernel::pinned::manifest::Watched;
use crate::kernel::pinned::set::Pinned;
use crate::machine::Context;
use crate::table::State;
use std::collections::HashMap;

/// The contexts of a set's policies, by the states that stand for them.
#[derive(Debug, Clone, Default)]
pub struct Contexts(HashMap<State, Context>);

impl Contexts {
    /// The context of a watched thread; none if its policy came after these were read. It is empty
    /// where the past of the thread is not known, and at depth 1.
    #[must_use]
    pub fn of(&self, thread: &Watched) -> Option<Context> {
        self.0.get(&thread.state).copied()
    }
}

impl Pinned {
    /// What the states of its threads stand for; nothing of another version's set. It reads all
    /// policies: ask again only when the manifest is another one.
    ///
    /// # Errors
    /// What is pinned is not understood.
    pub fn contexts(&self) -> Result<Contexts, KernelError> {
        if !self.manifest.is_ours() {
            return Ok(Contexts::default());
        }
        let policy_set = self.manifest.policy_set()?;
        let rows = policy_set.known().flat_map(|(_, slot)| &slot.compiled.rows);
        Ok(Contexts(rows.map(|row| (row.state, row.context)).collect()))
    }
}
