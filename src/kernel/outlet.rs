//! What comes out of the kernel while policies are enforced: violations, and totals.

use super::event::{epoch, Reader};
use super::hooks::Attached;
use super::tallies::{Repeated, Tallies};
use super::{ring, KernelError, Totals, Violation};
use libbpf_rs::MapHandle;
use std::time::Duration;

/// Where violations come out.
pub(super) struct Outlet {
    pub events: MapHandle,
    pub tallies: Tallies,
    pub reader: Reader,
}

impl Outlet {
    /// As [`Enforcer::poll`](super::Enforcer::poll).
    pub(super) fn poll(
        &self,
        timeout: Duration,
        mut each: impl FnMut(Violation),
    ) -> Result<usize, KernelError> {
        const AT_A_TIME: usize = 4096;
        let epoch = epoch();
        ring::take(&self.events, "events", timeout, AT_A_TIME, |bytes| {
            self.reader.read(epoch, bytes).into_iter().for_each(&mut each);
        })
    }

    /// As [`Enforcer::repeated`](super::Enforcer::repeated).
    pub(super) fn repeated(&self) -> Result<Vec<Repeated>, KernelError> {
        self.tallies.news(&self.reader)
    }
}

/// What is counted.
pub(super) struct Meter {
    pub counters: MapHandle,
    /// The programs at the hooks, which the kernel counts for.
    pub attached: Attached,
}

impl Meter {
    pub(super) fn totals(&self) -> Result<Totals, KernelError> {
        let mut totals = Totals::read(&self.counters)?;
        totals.missed = self.attached.missed()?;
        Ok(totals)
    }
}
