//! Array maps: read many entries at a time, or mapped into this process.

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

/// How many entries one call reads.
const BATCH: usize = 8192;

/// The first `at_most` entries of an array, or all that it has. (libbpf-rs allocates two vectors
/// for each entry, and takes an error for the end.)
///
/// # Errors
/// The array cannot be read, or its entries have another size than `V`.
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
        // above, and any bytes are a value of `V` (`Plain`). The kernel writes the key of the last
        // entry, which is an index, into `last`.
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
        // ENOENT is the end of the array (generic_map_lookup_batch, kernel/bpf/syscall.c).
        if result < 0 && -result != nix::libc::ENOENT {
            return Err(failed(io::Error::from_raw_os_error(-result)));
        }
        if count as usize != chunk.len() {
            return Err(failed(io::Error::other(format!("{count} of {} entries", chunk.len()))));
        }
    }
    Ok(values)
}

/// An array map in the memory of this process. The kernel may change it at any moment.
#[derive(Debug)]
pub(crate) struct Mapped<V> {
    start: NonNull<c_void>,
    length: NonZeroUsize,
    _of: PhantomData<V>,
}

impl<V> Mapped<V> {
    /// Maps an array of one entry, of which `V` describes the beginning.
    ///
    /// # Errors
    /// The kernel refuses to map it.
    pub(crate) fn whole(map: &impl MapCore, name: &'static str) -> Result<Self, KernelError> {
        // The entry of a section of variables may be shorter than `V`, which has padding at its
        // end.
        Mapped::first(map, map.value_size() as usize)
            .map_err(|cause| KernelError::Read { map: name, cause: cause.into() })
    }

    /// Maps all entries of an array.
    ///
    /// # Errors
    /// The entries have another size than `V`, or the kernel refuses to map them.
    pub(crate) fn entries(map: &impl MapCore, name: &'static str) -> Result<Self, KernelError> {
        let failed = |cause: io::Error| KernelError::Read { map: name, cause: cause.into() };
        // The kernel rounds the size of an entry up to eight bytes (array_map_alloc,
        // kernel/bpf/arraymap.c).
        if map.value_size() as usize != size_of::<V>() || !size_of::<V>().is_multiple_of(8) {
            return Err(failed(io::Error::other("its entries are of another size")));
        }
        Mapped::first(map, map.max_entries() as usize * size_of::<V>()).map_err(failed)
    }

    /// Writes the entry with this index.
    pub(crate) fn put(&self, index: usize, value: V)
    where
        V: Plain,
    {
        assert!((index + 1) * size_of::<V>() <= self.length.get());
        // SAFETY: the entry lies in the mapping, and is aligned there, as is the first one.
        unsafe { self.start.cast::<V>().add(index).write_volatile(value) };
    }

    /// Maps the first bytes of an array.
    fn first(map: &impl MapCore, bytes: usize) -> io::Result<Self> {
        let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, map.as_fd(), 0) }?;
        Ok(Mapped { start, length, _of: PhantomData })
    }

    /// Reads a field, `offset` bytes from the beginning of the mapping.
    pub(crate) fn load<T: Plain + Copy>(&self, offset: usize) -> T {
        assert!(
            offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= self.length.get()
        );
        // SAFETY: the field lies in the mapping, and is aligned there. Any bytes are a value.
        unsafe { self.start.byte_add(offset).cast::<T>().read_volatile() }
    }

    /// Writes a field, `offset` bytes from the beginning of the mapping.
    pub(crate) fn store<T: Plain>(&self, offset: usize, value: T) {
        assert!(
            offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= self.length.get()
        );
        // SAFETY: the field lies in the mapping, and is aligned there.
        unsafe { self.start.byte_add(offset).cast::<T>().write_volatile(value) };
    }
}

impl<V> Drop for Mapped<V> {
    fn drop(&mut self) {
        // SAFETY: `first` mapped exactly this, and nothing points into it any more.
        if let Err(e) = unsafe { munmap(self.start, self.length.get()) } {
            tracing::debug!("cannot unmap a map: {e}");
        }
    }
}
