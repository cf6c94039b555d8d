//! How large the maps of the step are.

use crate::kernel::policies::loaded_policy::LoadedPolicy;

/// How many entries the maps of the step hold, or have room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Cells of the table.
    pub cells: usize,
    /// Cells of calls without a column.
    pub far_cells: usize,
    /// Policies. Their numbers are less than this.
    pub policies: usize,
    /// Contexts at which a lost thread is found again.
    pub contexts: usize,
    /// States whose context the kernel asks for.
    pub histories: usize,
    /// States of policies that are being replaced.
    pub migrations: usize,
}

impl Sizes {
    /// What these policies need, in a table of `cells` cells.
    #[must_use]
    pub fn of<'a>(cells: usize, loaded: impl IntoIterator<Item = LoadedPolicy<'a>>) -> Self {
        let mut sizes = Sizes { cells, ..Sizes::default() };
        for one in loaded {
            sizes.policies = sizes.policies.max(one.number as usize + 1);
            sizes.far_cells += one.compiled.far.len();
            sizes.contexts += one.follow_targets().count();
            sizes.histories += one.followed().count();
        }
        sizes
    }

    /// The sizes with room for policies that come later: at least twice as much.
    #[must_use]
    pub fn with_room(self) -> Self {
        let more = |size: usize, least: usize| size + size.max(least);
        Sizes {
            cells: more(self.cells, 1 << 15),
            far_cells: more(self.far_cells, 1 << 10),
            policies: more(self.policies, 1 << 8),
            contexts: more(self.contexts, 1 << 10),
            histories: more(self.histories, 1 << 10),
            migrations: more(self.cells, 1 << 14),
        }
    }

    /// Whether maps of these sizes, `room`, are large enough.
    #[must_use]
    pub fn fits(&self, room: &Sizes) -> bool {
        self.cells <= room.cells
            && self.far_cells <= room.far_cells
            && self.policies <= room.policies
            && self.contexts <= room.contexts
            && self.histories <= room.histories
            && self.migrations <= room.migrations
    }
}
