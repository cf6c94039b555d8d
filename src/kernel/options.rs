//! How policies are enforced, as the user asks for it.

use crate::kernel::denials::Denials;
use crate::kernel::level::Level;

/// How policies are enforced.
#[derive(Debug, Clone, Copy)]
// Each boolean is an option of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Options {
    /// Violations are only reported, whatever the policies' actions are.
    pub log_only: bool,
    /// Violations move the state as in a machine that has the transition (`Reaction::Complain`).
    /// The first one of each kind is reported with its stack.
    pub complain: bool,
    /// The level that is required. Without one `kill` is enough, but policies that say `deny`
    /// require `prevent`.
    pub require: Option<Level>,
    /// The highest level that is used. A lower one has fewer hooks, which other processes pass,
    /// too, and a quicker start.
    pub at_most: Level,
    /// Watched threads are kept from the enforcer and its BPF objects, where the level allows it.
    pub self_protect: bool,
    /// The size of the ring buffer for events, in bytes: a power of two, and a multiple of the page
    /// size.
    pub ring_bytes: u32,
    /// The most events of one kind of violation (policy, context, symbol) a second. Violations past
    /// it are counted.
    pub full_events: u32,
    /// How often calls of one process may be denied. One more denial is a kill.
    pub denials: Denials,
    /// The policies stay enforced when this process ends.
    pub pinned: bool,
    /// Policies may name binaries that do not exist. These are bound when they come to exist.
    pub allow_absent: bool,
    /// For tests: no thread gets storage, so that every state is in the fallback map.
    pub fallbacks_only: bool,
    /// For tests: the programs at `sys_enter` are taken for preemptible, and are never shown this
    /// call.
    pub simulate_missed_nr: Option<u32>,
}

impl Options {
    /// The default of `full_events`.
    pub const FULL_EVENTS: u32 = 65_536;
}

impl Default for Options {
    fn default() -> Self {
        // 8 MiB have room for about 70,000 events.
        Options {
            log_only: false,
            complain: false,
            require: None,
            at_most: Level::Prevent,
            self_protect: true,
            ring_bytes: 8 << 20,
            full_events: Options::FULL_EVENTS,
            denials: Denials::default(),
            pinned: false,
            allow_absent: false,
            fallbacks_only: false,
            simulate_missed_nr: None,
        }
    }
}
