//! Identities → maps: by what the kernel's side knows a binary at its exec.

use super::fill::index_of;
use super::identity::Identities;
use super::skeleton::types;
use super::KernelError;
use libbpf_rs::{MapCore, MapFlags, OpenMapMut};

/// The maps of `bpf/identity.h`.
pub(super) struct IdentityMaps<M> {
    pub binaries: M,
    pub names: M,
    pub scripts: M,
}

/// Gives the maps the sizes that the identities need. Before the object is loaded.
pub(super) fn resize(
    maps: &mut IdentityMaps<&mut OpenMapMut<'_>>,
    identities: &Identities,
) -> Result<(), KernelError> {
    let set = |map: &mut OpenMapMut<'_>, name: &'static str, entries: usize| {
        map.set_max_entries(u32::try_from(entries.max(1)).unwrap_or(u32::MAX))
            .map_err(|cause| KernelError::Fill { map: name, entries, cause })
    };
    set(maps.binaries, "binaries", identities.binaries.len())?;
    set(maps.names, "names", identities.names.len())?;
    set(maps.scripts, "scripts", identities.scripts.len())
}

/// Writes the identities into the maps of a loaded object.
pub(super) fn fill<M: MapCore>(maps: &IdentityMaps<&M>, identities: &Identities) -> Result<(), KernelError> {
    for (file, &index) in &identities.binaries {
        put(maps.binaries, "binaries", &file.wire(), &index_of(index))?;
    }
    for (name, &index) in &identities.names {
        let mut key = types::sysfsm_name { text: [0; 256] };
        write_text(&mut key.text, name.as_bytes());
        put(maps.names, "names", &key, &index_of(index))?;
    }
    for ((from, path), &index) in &identities.scripts {
        let mut key = types::sysfsm_script { from: from.wire(), path: [0; 256] };
        write_text(&mut key.path, path);
        put(maps.scripts, "scripts", &key, &index_of(index))?;
    }
    Ok(())
}

/// Copies bytes into a C string, leaving its last zero.
pub(super) fn write_text(to: &mut [i8; 256], from: &[u8]) {
    for (slot, &byte) in to.iter_mut().take(255).zip(from) {
        *slot = i8::from_ne_bytes([byte]);
    }
}

/// Sets one entry of a map.
pub(super) fn put<K: plain::Plain, V: plain::Plain>(
    map: &impl MapCore,
    name: &'static str,
    key: &K,
    value: &V,
) -> Result<(), KernelError> {
    // SAFETY: `Plain` promises that both are plain bytes without hidden padding.
    let (key, value) = unsafe { (plain::as_bytes(key), plain::as_bytes(value)) };
    map.update(key, value, MapFlags::ANY).map_err(|cause| KernelError::Fill { map: name, entries: 1, cause })
}
