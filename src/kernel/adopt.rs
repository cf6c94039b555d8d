//! Adoption: running processes come under what has just begun. The kernel's side looks at their
//! threads.

use crate::kernel::bpf::entries::put;
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::events::totals::Totals;
use crate::kernel::identity::processes::Candidate;
use libbpf_rs::MapCore;
use std::os::fd::BorrowedFd;

/// What adopts in the kernel.
pub(crate) struct Adoption<'a, M> {
    /// The program, attached as an iterator.
    pub link: BorrowedFd<'a>,
    pub adoptees: &'a M,
    pub counters: &'a M,
}

impl<M: MapCore> Adoption<'_, M> {
    /// Adopts again and again, until a look finds no new thread: one may be born of one that was
    /// not adopted yet. How many threads were adopted.
    pub(crate) fn repeat(
        &self,
        mut candidates: impl FnMut() -> Result<Vec<Candidate>, KernelError>,
    ) -> Result<u64, KernelError> {
        const PASSES: usize = 20;
        let first = Totals::read(self.counters)?;
        let mut before = first;
        for _ in 0..PASSES {
            let found = candidates()?;
            // As many at a time as the map takes.
            for some in found.chunks(32_768) {
                self.once(some)?;
            }
            let totals = Totals::read(self.counters)?;
            let refused = totals.threads_refused - first.threads_refused;
            if refused > 0 {
                let what = format!("{refused} of their threads found no room for their state");
                return Err(KernelError::Adopt(what));
            }
            if totals.adopted == before.adopted {
                return Ok(totals.adopted - first.adopted);
            }
            before = totals;
        }
        Err(KernelError::Adopt(format!(
            "new threads of theirs are still found after {PASSES} looks"
        )))
    }

    fn once(&self, candidates: &[Candidate]) -> Result<(), KernelError> {
        for candidate in candidates {
            let value = types::sysfsm_adoptee {
                exe: candidate.exe.wire(),
                binary: candidate.binary.unwrap_or(0),
                run: 0,
            };
            put(self.adoptees, "adoptees", &candidate.pid, &value)?;
        }
        objects::iterate(self.link, "handle_adopt")?;
        for candidate in candidates {
            self.adoptees.delete(&candidate.pid.to_ne_bytes()).map_err(|cause| {
                KernelError::Fill { map: "adoptees", entries: candidates.len(), cause }
            })?;
        }
        Ok(())
    }
}
