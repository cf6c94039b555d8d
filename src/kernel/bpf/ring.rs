//! Ring buffers. Records are taken so that neither a storm of them nor their absence keeps the
//! caller from other work. How much waits is read without taking it.

use crate::kernel::error::KernelError;
use libbpf_rs::{MapCore, RingBufferBuilder};
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};
use nix::unistd::{sysconf, SysconfVar};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Waits for records, at most `timeout`, and hands over those that there are, about `at_a_time` at
/// most. Returns their number. A signal that interrupts the wait is no error.
///
/// # Errors
/// The ring buffer, whose map has this name, cannot be read.
pub(crate) fn take(
    map: &dyn MapCore,
    name: &'static str,
    timeout: Duration,
    at_a_time: usize,
    mut each: impl FnMut(&[u8]),
) -> Result<usize, KernelError> {
    let failed = |cause| KernelError::Read { map: name, cause };
    let mut builder = RingBufferBuilder::new();
    builder
        .add(map, |bytes| {
            each(bytes);
            0
        })
        .map_err(failed)?;
    let ring = builder.build().map_err(failed)?;
    // A record that was there before the wait does not end it.
    let mut taken = ring.consume_raw_n(at_a_time);
    if taken == 0 && !timeout.is_zero() {
        // SAFETY: the ring owns the descriptor, and lives longer than this borrow of it.
        let ready = unsafe { BorrowedFd::borrow_raw(ring.epoll_fd()) };
        let patience = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(ready, PollFlags::POLLIN)], patience) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(failed(io::Error::from(e).into())),
        }
        taken = ring.consume_raw_n(at_a_time);
    }
    usize::try_from(taken).map_err(|_| failed(io::Error::from_raw_os_error(-taken).into()))
}

/// How many bytes of records wait in a ring buffer. Nothing is taken.
///
/// # Errors
/// The ring buffer cannot be mapped.
pub(crate) fn waiting(map: &impl MapCore, name: &'static str) -> Result<u64, KernelError> {
    let failed = |cause: io::Error| KernelError::Read { map: name, cause: cause.into() };
    let page = sysconf(SysconfVar::PAGE_SIZE).map_err(|e| failed(e.into()))?;
    let page = page.and_then(|size| NonZeroUsize::try_from(usize::try_from(size).ok()?).ok());
    let page = page.ok_or_else(|| failed(io::ErrorKind::Unsupported.into()))?;
    let pages = page.saturating_mul(NonZeroUsize::MIN.saturating_add(1));
    // The first page begins with the reader's position, the second one with the writer's (`struct
    // bpf_ringbuf`, kernel/bpf/ringbuf.c).
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let start =
        unsafe { mmap(None, pages, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map.as_fd(), 0) }
            .map_err(|e| failed(e.into()))?;
    // SAFETY: both positions lie in the mapping, at the beginning of pages. Others may change them
    // meanwhile, so that they are read volatile.
    let (reader, writer) = unsafe {
        let reader = start.cast::<u64>().read_volatile();
        (reader, start.byte_add(page.get()).cast::<u64>().read_volatile())
    };
    // SAFETY: the pages were mapped above, and nothing points into them any more.
    if let Err(e) = unsafe { munmap(start, pages.get()) } {
        tracing::debug!("cannot unmap a map: {e}");
    }
    // The reader's position was read first, and the writer was not behind it then.
    Ok(writer.saturating_sub(reader))
}
