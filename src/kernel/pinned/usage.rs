//! How full what the kernel holds of a pinned set is.

use crate::kernel::bpf::array;
use crate::kernel::bpf::ring;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::Tallies;
use crate::kernel::pinned::set::Pinned;
use crate::kernel::policies::maps::Maps;
use libbpf_rs::{MapCore, MapHandle};

/// What is taken of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The map, by its name in `bpf/`.
    pub map: &'static str,
    /// How much is taken.
    pub taken: u64,
    /// How much there can be.
    pub room: u64,
}

impl Pinned {
    /// How many entries its maps have, and can have; none of another version's set. Each entry is
    /// looked at.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn usage(&self) -> Result<Option<Vec<Usage>>, KernelError> {
        if self.inside.is_none() {
            return Ok(None);
        }
        let (maps, tallies) =
            (Maps::pinned(&self.set.directory)?, Tallies::pinned(&self.set.directory)?);
        let cells: Vec<types::sysfsm_cell> = array::read(&maps.step.cells, "cells", u32::MAX)?;
        let mut usage = vec![
            // An array has all its entries: these are in use.
            of("cells", &maps.step.cells, cells.iter().filter(|cell| cell.owner != 0).count()),
            of("policies", &maps.step.policies, self.manifest.subjects().len()),
        ];
        for (name, map) in [
            ("far_cells", &maps.step.far_cells),
            ("contexts", &maps.step.contexts),
            ("histories", &maps.step.histories),
            ("arrivals", &maps.step.arrivals),
            ("binaries", &maps.identity.binaries),
            ("paths", &maps.identity.paths),
            ("names", &maps.identity.names),
            ("cgroups", &maps.select.cgroups),
            ("selected", &maps.select.selected),
            ("adoptees", &maps.adoptees),
            ("tallies", &tallies.counted),
            ("said", &tallies.said),
        ] {
            // A map that changes meanwhile may begin anew, again and again.
            usage.push(of(name, map, map.keys().take(map.max_entries() as usize).count()));
        }
        Ok(Some(usage))
    }

    /// How many bytes of events wait for whoever attends; none of another version's set.
    ///
    /// # Errors
    /// The ring buffer cannot be looked at.
    pub fn backlog(&self) -> Result<Option<Usage>, KernelError> {
        let backlog = || {
            let events = self.set.directory.map("events")?;
            let taken = ring::waiting(&events, "events")?;
            Ok(Usage { map: "events", taken, room: u64::from(events.max_entries()) })
        };
        self.inside.as_ref().map(|_| backlog()).transpose()
    }
}

fn of(map: &'static str, what: &MapHandle, taken: usize) -> Usage {
    Usage { map, taken: taken as u64, room: u64::from(what.max_entries()) }
}
