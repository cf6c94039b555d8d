//! Hash maps, read many entries at a time.

use crate::kernel::bpf::wire::record;
use crate::kernel::error::KernelError;
use libbpf_rs::libbpf_sys::{bpf_map_batch_opts, bpf_map_lookup_batch};
use libbpf_rs::MapCore;
use nix::libc::{EINTR, ENOENT, ENOSPC};
use plain::Plain;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd as _;
use std::ptr;

/// How many entries one call reads. A bucket of the map has to fit in whole.
const BATCH: usize = 4096;

/// All entries of a hash map. (The iterator of libbpf-rs takes a batch that is not full for the
/// last one. The kernel gives whole buckets, so that hardly a batch is full:
/// `__htab_map_lookup_and_delete_batch`, kernel/bpf/hashtab.c.)
///
/// # Errors
/// The map cannot be read, or its entries are of other sizes than `K` and `V`.
pub(crate) fn read<K: Plain + Default, V: Plain + Default>(
    map: &impl MapCore,
    name: &'static str,
) -> Result<Vec<(K, V)>, KernelError> {
    let failed = |cause: io::Error| KernelError::Read { map: name, cause: cause.into() };
    let (key_size, value_size) = (size_of::<K>(), size_of::<V>());
    if map.key_size() as usize != key_size || map.value_size() as usize != value_size {
        return Err(failed(io::Error::other("its entries are of another size")));
    }
    let mut found = Vec::new();
    let mut room = BATCH;
    // The kernel keeps its place in the first bytes of such a key: a bucket.
    let mut place: Option<Vec<u8>> = None;
    loop {
        let mut keys = vec![0; room * key_size];
        let mut values = vec![0; room * value_size];
        let mut next = vec![0; key_size.max(size_of::<u64>())];
        let mut count = u32::try_from(room).unwrap_or(u32::MAX);
        let options =
            bpf_map_batch_opts { sz: size_of::<bpf_map_batch_opts>() as u64, ..Default::default() };
        // SAFETY: `keys` and `values` have room for `count` entries of the map's sizes, which were
        // compared above; `place` and `next` have room for a key.
        let result = unsafe {
            bpf_map_lookup_batch(
                map.as_fd().as_raw_fd(),
                place.as_mut().map_or(ptr::null_mut(), |place| place.as_mut_ptr().cast()),
                next.as_mut_ptr().cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                &raw const options,
            )
        };
        match -result {
            EINTR => continue,
            // A bucket has more entries than that.
            ENOSPC => {
                room *= 2;
                continue;
            }
            error if error > 0 && error != ENOENT => {
                return Err(failed(io::Error::from_raw_os_error(error)));
            }
            _ => {}
        }
        let entries = keys.chunks_exact(key_size).zip(values.chunks_exact(value_size));
        found.extend(
            entries.take(count as usize).filter_map(|(k, v)| Some((record(k)?, record(v)?))),
        );
        if result < 0 {
            return Ok(found);
        }
        place = Some(next);
    }
}
