//! Adoption: threads of running processes come under policies, or into a recording. A program looks
//! at each thread.

use crate::kernel::bpf::entries::put;
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::events::totals::Totals;
use crate::kernel::identity::processes::Candidate;
use libbpf_rs::MapCore;
use std::os::fd::BorrowedFd;

/// The program that adopts, and its maps.
pub(crate) struct Adoption<'a, M> {
    /// The link of the program, which is an iterator over all threads.
    pub link: BorrowedFd<'a>,
    /// The processes to adopt.
    pub adoptees: &'a M,
    /// The totals, which count adopted threads.
    pub counters: &'a M,
    /// How many of the adopted threads were adopted at their births, and not by the program.
    pub at_birth: &'a dyn Fn() -> u64,
}

impl<M: MapCore> Adoption<'_, M> {
    /// Adopts the threads of the processes that `candidates` finds, again and again until no thread
    /// is new: a thread may be created by one that was not adopted yet. Returns how many threads
    /// were adopted.
    ///
    /// # Errors
    /// A thread finds no room for its state, or new threads do not end.
    pub(crate) fn repeat(
        &self,
        mut candidates: impl FnMut() -> Result<Vec<Candidate>, KernelError>,
    ) -> Result<u64, KernelError> {
        const PASSES: usize = 20;
        const AT_A_TIME: usize = 32_768;
        let first = Totals::read(self.counters)?;
        let mut before = first.adopted.saturating_sub((self.at_birth)());
        for _ in 0..PASSES {
            let found = candidates()?;
            // The map takes this many at a time. Without any the program still finds what the set
            // before watches.
            let (first_ones, others) = found.split_at(found.len().min(AT_A_TIME));
            for some in [first_ones].into_iter().chain(others.chunks(AT_A_TIME)) {
                self.once(some)?;
            }
            let totals = Totals::read(self.counters)?;
            let refused = totals.threads_refused - first.threads_refused;
            if refused > 0 {
                let what = format!("{refused} of their threads found no room for their state");
                return Err(KernelError::Adopt(what));
            }
            let found = totals.adopted.saturating_sub((self.at_birth)());
            if found <= before {
                return Ok(totals.adopted - first.adopted);
            }
            before = found;
        }
        Err(KernelError::Adopt(format!(
            "new threads of theirs are still found after {PASSES} looks"
        )))
    }

    /// One pass over all threads.
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
