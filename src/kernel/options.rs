//! How policies are enforced, as the user asks for it.

use crate::kernel::level::Level;

/// How policies are enforced.
#[derive(Debug, Clone, Copy)]
// Each says yes or no to something of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Options {
    /// Only report, whatever the policies' actions are.
    pub log_only: bool,
    /// Report what a machine needs that is to learn (`Reaction::Complain`), the first of each kind
    /// with its stack.
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
    /// So many violations of a kind (policy, context, symbol) are told one by one a second; the
    /// others are counted.
    pub full_events: u32,
    /// Go on enforcing when the process ends that has started it.
    pub pinned: bool,
    /// Policies may name binaries that are not there: they are bound when they come.
    pub allow_absent: bool,
    /// For tests: as if no thread ever got storage, so that the spare places have to do.
    pub fallbacks_only: bool,
    /// For tests: as if the programs at `sys_enter` could be preempted, and were always left out of
    /// this call.
    pub simulate_missed_nr: Option<u32>,
}

impl Options {
    /// As many events of a kind as are told in full a second, if nothing else is said.
    pub const FULL_EVENTS: u32 = 65_536;
}

impl Default for Options {
    fn default() -> Self {
        // 8 MiB hold about 70,000 events that nobody has read yet.
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
