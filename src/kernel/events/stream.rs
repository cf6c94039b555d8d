//! What comes out of the kernel while policies are enforced: violations, and totals.

use crate::kernel::bpf::ring;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::{EventMaps, Repeated};
use crate::kernel::events::totals::Totals;
use crate::kernel::events::violation::Violation;
use crate::kernel::events::violation::{epoch, EventReader};
use crate::kernel::hooks::Attached;
use libbpf_rs::MapHandle;
use std::time::Duration;

/// Where violations come out.
pub(crate) struct EventStream {
    pub maps: EventMaps<MapHandle>,
    pub reader: EventReader,
}

impl EventStream {
    /// As [`Enforcer::poll`](crate::kernel::Enforcer::poll).
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

    /// As [`Enforcer::repeated`](crate::kernel::Enforcer::repeated).
    pub(crate) fn repeated(&self) -> Result<Vec<Repeated>, KernelError> {
        self.maps.news(&self.reader)
    }
}

/// What is counted.
pub(crate) struct CounterReader {
    pub counters: MapHandle,
    /// The programs at the hooks, which the kernel counts for.
    pub attached: Attached,
}

impl CounterReader {
    pub(crate) fn totals(&self) -> Result<Totals, KernelError> {
        let mut totals = Totals::read(&self.counters)?;
        totals.recursion_misses = self.attached.recursion_misses()?;
        Ok(totals)
    }
}
