//! Arrays between the kernel and user space, many entries at once.

use crate::kernel::error::KernelError;
use libbpf_rs::libbpf_sys::{bpf_map_batch_opts, bpf_map_lookup_batch};
use libbpf_rs::MapCore;
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};
use plain::Plain;
use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd as _;
use std::ptr::{self, NonNull};

/// Entries a call.
const BATCH: usize = 8192;

/// The first entries of an array, or all that it has. (libbpf-rs makes two vectors of each entry,
/// and takes an error for the end.)
pub(crate) fn read<V: Plain + Default + Copy>(
    map: &impl MapCore,
    name: &'static str,
    at_most: u32,
) -> Result<Vec<V>, KernelError> {
    let failed = |cause: io::Error| KernelError::Read { map: name, cause: cause.into() };
    if map.value_size() as usize != size_of::<V>() || map.key_size() as usize != size_of::<u32>() {
        return Err(failed(io::Error::other("its entries are of another size")));
    }
    let mut values = vec![V::default(); at_most.min(map.max_entries()) as usize];
    let mut keys = vec![0_u32; BATCH];
    let mut last: Option<u32> = None;
    for chunk in values.chunks_mut(BATCH) {
        let mut after = last;
        let mut count = u32::try_from(chunk.len()).unwrap_or(0);
        let options =
            bpf_map_batch_opts { sz: size_of::<bpf_map_batch_opts>() as u64, ..Default::default() };
        // SAFETY: `keys` and `chunk` have room for `count` entries of the sizes that were compared
        // above, of which any bytes are a value; a place in an array is its key, which `last` has
        // room for.
        let result = unsafe {
            bpf_map_lookup_batch(
                map.as_fd().as_raw_fd(),
                after.as_mut().map_or(ptr::null_mut(), |key| ptr::from_mut(key).cast()),
                ptr::from_mut(last.get_or_insert(0)).cast(),
                keys.as_mut_ptr().cast(),
                chunk.as_mut_ptr().cast(),
                &raw mut count,
                &raw const options,
            )
        };
        // At the end of the array it says that there is no next one.
        if result < 0 && -result != nix::libc::ENOENT {
            return Err(failed(io::Error::from_raw_os_error(-result)));
        }
        if count as usize != chunk.len() {
            return Err(failed(io::Error::other(format!("{count} of {} entries", chunk.len()))));
        }
    }
    Ok(values)
}

/// The first entries of an array that can be mapped, as the kernel has them: it may change them
/// meanwhile.
#[derive(Debug)]
pub(crate) struct Mapped<V> {
    start: NonNull<c_void>,
    length: NonZeroUsize,
    _of: PhantomData<V>,
}

impl<V> Mapped<V> {
    /// An array of one entry.
    pub(crate) fn whole(map: &impl MapCore, name: &'static str) -> Result<Self, KernelError> {
        // A section of variables has no padding at its end.
        Mapped::first(map, map.value_size() as usize)
            .map_err(|cause| KernelError::Read { map: name, cause: cause.into() })
    }

    /// All entries of an array that has as many bytes for each as they have.
    pub(crate) fn entries(map: &impl MapCore, name: &'static str) -> Result<Self, KernelError> {
        let failed = |cause: io::Error| KernelError::Read { map: name, cause: cause.into() };
        // The kernel rounds the size of an entry up to eight bytes (array_map_alloc,
        // kernel/bpf/arraymap.c).
        if map.value_size() as usize != size_of::<V>() || !size_of::<V>().is_multiple_of(8) {
            return Err(failed(io::Error::other("its entries are of another size")));
        }
        Mapped::first(map, map.max_entries() as usize * size_of::<V>()).map_err(failed)
    }

    /// Writes an entry.
    pub(crate) fn put(&self, index: usize, value: V)
    where
        V: Plain,
    {
        assert!((index + 1) * size_of::<V>() <= self.length.get());
        // SAFETY: it lies in the mapping, and is aligned there, as is the first one.
        unsafe { self.start.cast::<V>().add(index).write_volatile(value) };
    }

    fn first(map: &impl MapCore, bytes: usize) -> io::Result<Self> {
        let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, where the kernel finds room for it.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, map.as_fd(), 0) }?;
        Ok(Mapped { start, length, _of: PhantomData })
    }

    /// Reads a field, which is so many bytes from the beginning.
    pub(crate) fn load<T: Plain + Copy>(&self, offset: usize) -> T {
        assert!(
            offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= self.length.get()
        );
        // SAFETY: as in `store`; any bytes are a value.
        unsafe { self.start.byte_add(offset).cast::<T>().read_volatile() }
    }

    /// Writes a field, which is so many bytes from the beginning.
    pub(crate) fn store<T: Plain>(&self, offset: usize, value: T) {
        assert!(
            offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= self.length.get()
        );
        // SAFETY: it lies in the mapping, and is aligned there.
        unsafe { self.start.byte_add(offset).cast::<T>().write_volatile(value) };
    }
}

impl<V> Drop for Mapped<V> {
    fn drop(&mut self) {
        // SAFETY: it was mapped when this was made, and nothing points into it any more.
        if let Err(e) = unsafe { munmap(self.start, self.length.get()) } {
            tracing::debug!("cannot unmap a map: {e}");
        }
    }
}
