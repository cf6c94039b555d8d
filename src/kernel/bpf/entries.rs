//! Entries of hash maps: written, compared with what they are to be, deleted.

use crate::kernel::bpf::wire::bytes;
use crate::kernel::error::KernelError;
use libbpf_rs::{MapCore, MapFlags, OpenMapMut};
use std::collections::BTreeMap;

/// A map's entries: keys and values, as bytes.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A text with the size of the key `K`, padded with zeros.
pub(crate) fn text<K>(from: &[u8]) -> Vec<u8> {
    let mut text = from.to_vec();
    text.resize(size_of::<K>(), 0);
    text
}

/// Gives a map room for this many entries. The object must not be loaded yet.
///
/// # Errors
/// libbpf refuses the size.
pub(crate) fn set_room(
    map: &mut OpenMapMut<'_>,
    name: &'static str,
    entries: usize,
) -> Result<(), KernelError> {
    map.set_max_entries(u32::try_from(entries.max(1)).unwrap_or(u32::MAX))
        .map_err(|cause| KernelError::Fill { map: name, entries, cause })
}

/// Adds the entries whose keys the map does not have. The entries that it has stay as they are.
///
/// # Errors
/// The map, which has this name, cannot be read or changed.
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

/// Makes these the entries of a map: first new and changed ones are written, then the others are
/// deleted.
///
/// # Errors
/// The map, which has this name, cannot be read or changed.
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

/// All entries of a map.
///
/// # Errors
/// The map, which has this name, cannot be read.
pub(crate) fn read(map: &impl MapCore, name: &'static str) -> Result<Entries, KernelError> {
    let failed = |cause| KernelError::Read { map: name, cause };
    let mut entries = Entries::new();
    for key in map.keys() {
        if let Some(value) = map.lookup(&key, MapFlags::ANY).map_err(failed)? {
            entries.insert(key, value);
        }
    }
    Ok(entries)
}

/// Writes the entries of an empty map, in one call.
///
/// # Errors
/// The map, which has this name, does not take them.
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

/// Deletes one entry of a map.
///
/// # Errors
/// The map, which has this name, does not have it.
pub(crate) fn forget<K: plain::Plain>(
    map: &impl MapCore,
    name: &'static str,
    key: &K,
) -> Result<(), KernelError> {
    map.delete(bytes(key)).map_err(|cause| KernelError::Fill { map: name, entries: 1, cause })
}

/// Writes one entry of a map.
///
/// # Errors
/// The map, which has this name, does not take it.
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

/// Keys and values of one map, which are written or deleted together.
pub(crate) struct Batch {
    map: &'static str,
    keys: Vec<u8>,
    values: Vec<u8>,
    count: usize,
}

impl Batch {
    /// No entries yet, of the map with this name.
    pub(crate) fn new(map: &'static str) -> Self {
        Batch { map, keys: Vec::new(), values: Vec::new(), count: 0 }
    }

    /// Adds an entry.
    pub(crate) fn push<K: plain::Plain, V: plain::Plain>(&mut self, key: &K, value: &V) {
        self.keys.extend_from_slice(bytes(key));
        self.values.extend_from_slice(bytes(value));
        self.count += 1;
    }

    /// Adds the entries of another batch of the same map.
    pub(crate) fn extend(&mut self, other: Batch) {
        self.keys.extend(other.keys);
        self.values.extend(other.values);
        self.count += other.count;
    }

    /// Writes the entries in one call.
    pub(crate) fn write(&self, map: &impl MapCore) -> Result<(), KernelError> {
        if self.count == 0 {
            return Ok(());
        }
        let count = u32::try_from(self.count).unwrap_or(u32::MAX);
        map.update_batch(&self.keys, &self.values, count, MapFlags::ANY, MapFlags::ANY)
            .map_err(|cause| KernelError::Fill { map: self.map, entries: self.count, cause })
    }

    /// Deletes the keys. A key that the map does not have is no error.
    pub(crate) fn delete(&self, map: &impl MapCore) -> Result<(), KernelError> {
        for key in self.keys.chunks_exact((self.keys.len() / self.count.max(1)).max(1)) {
            match map.delete(key) {
                Err(cause) if cause.kind() != libbpf_rs::ErrorKind::NotFound => {
                    return Err(KernelError::Fill { map: self.map, entries: self.count, cause });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
