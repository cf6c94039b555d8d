//! The maps by which the kernel knows binaries at an exec.

use crate::kernel::bpf::entries::{self, text, Entries};
use crate::kernel::bpf::map_list::map_list;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire::bytes;
use crate::kernel::error::KernelError;
use crate::kernel::identity::binaries::{index_of, Identities};
use libbpf_rs::{MapCore, OpenMapMut};

map_list! {
    ($)
    /// The maps of `bpf/identity.h`: from an identity to the number of a binary.
    pub(crate) struct IdentityMaps via borrow_identity_maps {
        binaries,
        paths,
        names,
    }
}

/// The entries of these maps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    pub binaries: Entries,
    pub paths: Entries,
    pub names: Entries,
}

impl Bound {
    /// The entries of some identities. `number` is the number of the binary with an index.
    pub(crate) fn of(identities: &Identities, number: impl Fn(usize) -> u32) -> Self {
        let value = |&binary: &usize| number(binary).to_ne_bytes().to_vec();
        Bound {
            binaries: identities
                .files
                .iter()
                .map(|(file, b)| (bytes(&file.wire()).to_vec(), value(b)))
                .collect(),
            paths: identities
                .paths
                .iter()
                .map(|(path, b)| (text::<types::sysfsm_path>(path), value(b)))
                .collect(),
            names: identities
                .names
                .iter()
                .map(|(name, b)| (text::<types::sysfsm_name>(name.as_bytes()), value(b)))
                .collect(),
        }
    }

    /// The entries that the maps have.
    ///
    /// # Errors
    /// A map cannot be read.
    pub(crate) fn read<M: MapCore>(maps: &IdentityMaps<M>) -> Result<Self, KernelError> {
        Ok(Bound {
            binaries: entries::read(&maps.binaries, "binaries")?,
            paths: entries::read(&maps.paths, "paths")?,
            names: entries::read(&maps.names, "names")?,
        })
    }

    /// Whether the maps have room for twice these entries: those that they have now may all be
    /// other ones.
    pub(crate) fn fits<M: MapCore>(&self, maps: &IdentityMaps<M>) -> bool {
        let fits = |map: &M, entries: usize| 2 * entries <= map.max_entries() as usize;
        fits(&maps.binaries, self.binaries.len())
            && fits(&maps.paths, self.paths.len())
            && fits(&maps.names, self.names.len())
    }

    /// The entries of a list of binaries that are numbered in its order, from 1.
    pub(crate) fn in_order(identities: &Identities) -> Self {
        Bound::of(identities, index_of)
    }
}

/// Gives the maps their sizes: `room` for a number of entries. The object must not be loaded yet.
///
/// # Errors
/// libbpf refuses a size.
pub(crate) fn resize(
    maps: &mut IdentityMaps<&mut OpenMapMut<'_>>,
    bound: &Bound,
    room: impl Fn(usize) -> usize,
) -> Result<(), KernelError> {
    entries::set_room(maps.binaries, "binaries", room(bound.binaries.len()))?;
    entries::set_room(maps.paths, "paths", room(bound.paths.len()))?;
    entries::set_room(maps.names, "names", room(bound.names.len()))
}

/// Makes these the entries of the maps, an entry at a time: first new and changed ones are written,
/// then the others are deleted.
///
/// # Errors
/// A map cannot be read or changed.
pub(crate) fn update<M: MapCore>(maps: &IdentityMaps<M>, bound: &Bound) -> Result<(), KernelError> {
    entries::sync(&maps.binaries, "binaries", &bound.binaries)?;
    entries::sync(&maps.paths, "paths", &bound.paths)?;
    entries::sync(&maps.names, "names", &bound.names)
}

/// Adds the entries whose keys the maps do not have. The entries that they have stay as they are.
///
/// # Errors
/// A map cannot be read or changed.
pub(crate) fn add_all<M: MapCore>(
    maps: &IdentityMaps<M>,
    bound: &Bound,
) -> Result<(), KernelError> {
    entries::add(&maps.binaries, "binaries", &bound.binaries)?;
    entries::add(&maps.paths, "paths", &bound.paths)?;
    entries::add(&maps.names, "names", &bound.names)
}

/// Writes the entries of all three maps, which have none.
pub(crate) fn fill_all<M: MapCore>(
    maps: &IdentityMaps<M>,
    bound: &Bound,
) -> Result<(), KernelError> {
    entries::fill(&maps.binaries, "binaries", &bound.binaries)?;
    entries::fill(&maps.paths, "paths", &bound.paths)?;
    entries::fill(&maps.names, "names", &bound.names)
}
