//! How full the maps and the ring buffer of a pinned set are.

use crate::kernel::bpf::array;
use crate::kernel::bpf::ring;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::EventMaps;
use crate::kernel::pinned::set::Pinned;
use crate::kernel::policies::maps::Maps;
use libbpf_rs::{MapCore, MapHandle, MapType};

/// How full a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The map, by its name in `bpf/`.
    pub map: &'static str,
    /// How many entries, or bytes, it has.
    pub taken: u64,
    /// How many entries, or bytes, it can have.
    pub room: u64,
}

impl Pinned {
    /// How many entries the set's maps have, and can have; `None` of a set of another version. Each
    /// entry is looked at, so that this takes long with large maps.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn usage(&self) -> Result<Option<Vec<Usage>>, KernelError> {
        if self.inside.is_none() {
            return Ok(None);
        }
        let maps = Maps::find(|name| self.set.directory.map(name))?;
        let events = EventMaps::find(|name| self.set.directory.map(name))?;
        let adoptees = ("adoptees", &maps.service.adoptees);
        let lists = maps.step.each().chain(maps.identity.each()).chain(maps.select.each());
        let usage = lists.chain([adoptees]).chain(events.each()).filter_map(|(name, map)| {
            let taken = match name {
                // An array has all its entries. Those that are in use are counted.
                "cells" => {
                    array::read(map, name, u32::MAX).map(|cells: Vec<types::sysfsm_cell>| {
                        cells.iter().filter(|cell| cell.owner != 0).count()
                    })
                }
                "policies" => Ok(self.manifest.selectors().len()),
                _ if map.map_type() != MapType::Hash => return None,
                // The iteration over a map that changes meanwhile may begin anew without end.
                _ => Ok(map.keys().take(map.max_entries() as usize).count()),
            };
            Some(taken.map(|taken| of(name, map, taken)))
        });
        let usage = usage.collect::<Result<_, _>>()?;
        Ok(Some(usage))
    }

    /// How many bytes of events wait for the agent; `None` of a set of another version.
    ///
    /// # Errors
    /// The ring buffer cannot be read.
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
