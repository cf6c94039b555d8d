//! Binaries and cgroups → the maps that the kernel decides by at an exec.

use crate::kernel::bpf::wire::bytes;
use crate::kernel::error::KernelError;
use crate::kernel::identity::binaries::Identities;
use crate::kernel::policies::fill::index_of;
use libbpf_rs::{MapCore, MapFlags, OpenMapMut};
use std::collections::BTreeMap;

/// The maps of `bpf/identity.h`.
#[derive(Debug)]
pub(crate) struct IdentityMaps<M> {
    pub binaries: M,
    pub paths: M,
    pub names: M,
}

/// The maps of `bpf/select.h`.
#[derive(Debug)]
pub(crate) struct SelectMaps<M> {
    pub cgroups: M,
    pub selected: M,
}

/// A map's entries, as bytes.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the maps are to hold: `number` numbers the binaries.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    pub binaries: Entries,
    pub paths: Entries,
    pub names: Entries,
}

impl Bound {
    pub(crate) fn of(identities: &Identities, number: impl Fn(usize) -> u32) -> Self {
        let value = |&binary: &usize| number(binary).to_ne_bytes().to_vec();
        Bound {
            binaries: identities
                .files
                .iter()
                .map(|(file, b)| (bytes(&file.wire()).to_vec(), value(b)))
                .collect(),
            paths: identities.paths.iter().map(|(path, b)| (text(path), value(b))).collect(),
            names: identities
                .names
                .iter()
                .map(|(name, b)| (text(name.as_bytes()), value(b)))
                .collect(),
        }
    }

    /// What the maps hold.
    pub(crate) fn read<M: MapCore>(maps: &IdentityMaps<M>) -> Result<Self, KernelError> {
        Ok(Bound {
            binaries: read(&maps.binaries, "binaries")?,
            paths: read(&maps.paths, "paths")?,
            names: read(&maps.names, "names")?,
        })
    }

    /// Whether the maps have room for it, and for what they hold now.
    pub(crate) fn fits<M: MapCore>(&self, maps: &IdentityMaps<M>) -> bool {
        let fits = |map: &M, entries: usize| 2 * entries <= map.max_entries() as usize;
        fits(&maps.binaries, self.binaries.len())
            && fits(&maps.paths, self.paths.len())
            && fits(&maps.names, self.names.len())
    }

    /// The same of a list that is numbered by its places.
    pub(crate) fn in_order(identities: &Identities) -> Self {
        Bound::of(identities, index_of)
    }
}

/// A text of so many bytes as keys have (`SYSFSM_NAME`, `SYSFSM_PATH`), zero padded.
fn text(from: &[u8]) -> Vec<u8> {
    let mut text = from.to_vec();
    text.resize(256, 0);
    text
}

/// The key of a cgroup's path.
pub(crate) fn cgroup_key(path: &str) -> Vec<u8> {
    let mut key = Vec::new();
    for name in path.split('/').rev().filter(|name| !name.is_empty()) {
        key.extend_from_slice(name.as_bytes());
        key.push(0);
    }
    text(&key)
}

/// Gives a map the room that its entries need. Before the object is loaded.
pub(crate) fn set_room(
    map: &mut OpenMapMut<'_>,
    name: &'static str,
    entries: usize,
) -> Result<(), KernelError> {
    map.set_max_entries(u32::try_from(entries.max(1)).unwrap_or(u32::MAX))
        .map_err(|cause| KernelError::Fill { map: name, entries, cause })
}

/// Gives the maps the sizes that the identities need.
pub(crate) fn resize(
    maps: &mut IdentityMaps<&mut OpenMapMut<'_>>,
    bound: &Bound,
    room: impl Fn(usize) -> usize,
) -> Result<(), KernelError> {
    set_room(maps.binaries, "binaries", room(bound.binaries.len()))?;
    set_room(maps.paths, "paths", room(bound.paths.len()))?;
    set_room(maps.names, "names", room(bound.names.len()))
}

/// What the kernel knows of them becomes this, an entry at a time: first what is new or different,
/// then what is to go.
pub(crate) fn update<M: MapCore>(maps: &IdentityMaps<M>, bound: &Bound) -> Result<(), KernelError> {
    sync(&maps.binaries, "binaries", &bound.binaries)?;
    sync(&maps.paths, "paths", &bound.paths)?;
    sync(&maps.names, "names", &bound.names)
}

/// Adds what they have for keys that it has not: nothing that the kernel knows of them changes.
pub(crate) fn add_all<M: MapCore>(
    maps: &IdentityMaps<M>,
    bound: &Bound,
) -> Result<(), KernelError> {
    add(&maps.binaries, "binaries", &bound.binaries)?;
    add(&maps.paths, "paths", &bound.paths)?;
    add(&maps.names, "names", &bound.names)
}

/// The same of one map.
pub(crate) fn add(
    map: &impl MapCore,
    name: &'static str,
    wanted: &Entries,
) -> Result<(), KernelError> {
    let there = read(map, name)?;
    wanted.iter().filter(|(key, _)| !there.contains_key(*key)).try_for_each(|(key, value)| {
        map.update(key, value, MapFlags::ANY).map_err(|cause| KernelError::Fill {
            map: name,
            entries: wanted.len(),
            cause,
        })
    })
}

/// Makes a map's entries these.
pub(crate) fn sync(
    map: &impl MapCore,
    name: &'static str,
    wanted: &Entries,
) -> Result<(), KernelError> {
    let failed = |cause| KernelError::Fill { map: name, entries: wanted.len(), cause };
    let there = read(map, name)?;
    for (key, value) in wanted {
        if there.get(key) != Some(value) {
            map.update(key, value, MapFlags::ANY).map_err(failed)?;
        }
    }
    for key in there.keys().filter(|key| !wanted.contains_key(*key)) {
        map.delete(key).map_err(failed)?;
    }
    Ok(())
}

/// A map's entries.
fn read(map: &impl MapCore, name: &'static str) -> Result<Entries, KernelError> {
    let failed = |cause| KernelError::Read { map: name, cause };
    let mut entries = Entries::new();
    for key in map.keys() {
        if let Some(value) = map.lookup(&key, MapFlags::ANY).map_err(failed)? {
            entries.insert(key, value);
        }
    }
    Ok(entries)
}

/// Writes the entries of a map that has none.
pub(crate) fn fill(
    map: &impl MapCore,
    name: &'static str,
    wanted: &Entries,
) -> Result<(), KernelError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let (keys, values): (Vec<_>, Vec<_>) = wanted.iter().map(|(k, v)| (&**k, &**v)).unzip();
    map.update_batch(&keys.concat(), &values.concat(), count, MapFlags::ANY, MapFlags::ANY)
        .map_err(|cause| KernelError::Fill { map: name, entries: wanted.len(), cause })
}

/// The same of all three.
pub(crate) fn fill_all<M: MapCore>(
    maps: &IdentityMaps<M>,
    bound: &Bound,
) -> Result<(), KernelError> {
    fill(&maps.binaries, "binaries", &bound.binaries)?;
    fill(&maps.paths, "paths", &bound.paths)?;
    fill(&maps.names, "names", &bound.names)
}

/// Deletes one entry of a map.
pub(crate) fn forget<K: plain::Plain>(
    map: &impl MapCore,
    name: &'static str,
    key: &K,
) -> Result<(), KernelError> {
    map.delete(bytes(key)).map_err(|cause| KernelError::Fill { map: name, entries: 1, cause })
}

/// Sets one entry of a map.
pub(crate) fn put<K: plain::Plain, V: plain::Plain>(
    map: &impl MapCore,
    name: &'static str,
    key: &K,
    value: &V,
) -> Result<(), KernelError> {
    map.update(bytes(key), bytes(value), MapFlags::ANY).map_err(|cause| KernelError::Fill {
        map: name,
        entries: 1,
        cause,
    })
}
