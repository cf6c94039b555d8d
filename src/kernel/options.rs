//! How policies are enforced, as the user asks for it.

use crate::kernel::level::Level;

/// How policies are enforced.
#[derive(Debug, Clone, Copy)]
// Each says yes or no to something of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Options {
    /// Only report, whatever the policies' actions are.
    pub log_only: bool,
    /// Violations move the state as in a machine that has the transition (`Reaction::Complain`). The
    /// first one of each kind is reported with its stack.
    pub complain: bool,
    /// Refuse to start below this level. Without one `kill` will do, but for policies that say
    /// `deny` nothing less than `prevent`.
    pub require: Option<Level>,
    /// Use no stronger level than this: fewer hooks, which other processes pass too, and a quicker
    /// start.
    pub at_most: Level,
    /// Keep watched threads from the enforcer and its BPF objects, where the level allows it.
    pub self_protect: bool,
    /// Bytes of the ring buffer for events; a power of two, and a multiple of the page size.
    pub ring_bytes: u32,
    /// The most events of one kind of violation (policy, context, symbol) a second. Violations past
    /// it are counted.
    pub full_events: u32,
    /// Go on enforcing when the process ends that has started it.
    pub pinned: bool,
    /// Policies may name binaries that are not there: they are bound when they come.
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
            pinned: false,
            allow_absent: false,
            fallbacks_only: false,
            simulate_missed_nr: None,
        }
    }
}
