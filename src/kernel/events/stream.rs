//! Violations and totals, as the kernel delivers them while policies are enforced.

use crate::kernel::bpf::ring;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::{EventMaps, Repeated};
use crate::kernel::events::totals::Totals;
use crate::kernel::events::violation::Violation;
use crate::kernel::events::violation::{epoch, EventReader};
use crate::kernel::hooks::Attached;
use libbpf_rs::MapHandle;
use std::time::Duration;

/// The violations: each by itself from the ring buffer, and the others as counts.
pub(crate) struct EventStream {
    pub maps: EventMaps<MapHandle>,
    pub reader: EventReader,
}

impl EventStream {
    /// Waits for violations, at most `timeout`, and hands over at most a few thousand. Returns
    /// their number.
    ///
    /// # Errors
    /// The ring buffer cannot be read. A signal that interrupts the wait is no error.
    pub(crate) fn poll(
        &self,
        timeout: Duration,
        mut each: impl FnMut(Violation),
    ) -> Result<usize, KernelError> {
        const AT_A_TIME: usize = 4096;
        let epoch = epoch();
        ring::take(&self.maps.events, "events", timeout, AT_A_TIME, |bytes| {
            self.reader.read(epoch, bytes).into_iter().for_each(&mut each);
        })
    }

    /// By kind, the violations without an event since the last call.
    ///
    /// # Errors
    /// The maps cannot be read.
    pub(crate) fn repeated(&self) -> Result<Vec<Repeated>, KernelError> {
        self.maps.news(&self.reader)
    }
}

/// The totals: what the programs count, and what the kernel counts for them.
pub(crate) struct CounterReader {
    pub counters: MapHandle,
    /// The programs at the tracepoints.
    pub attached: Attached,
}

impl CounterReader {
    /// The totals so far.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub(crate) fn totals(&self) -> Result<Totals, KernelError> {
        let mut totals = Totals::read(&self.counters)?;
        totals.recursion_misses = self.attached.recursion_misses()?;
        Ok(totals)
    }
}
