//! Taking from a ring buffer without letting a storm, or silence, keep the caller.

use super::KernelError;
use libbpf_rs::{MapCore, RingBufferBuilder};
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Waits for records, `timeout` at the most, and hands over those that there are, about `at_a_time` at the most. How
/// many these were. A signal that interrupts the wait is no error.
pub(super) fn take(
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
    // What is there already wakes nobody up.
    let mut taken = ring.consume_raw_n(at_a_time);
    if taken == 0 && !timeout.is_zero() {
        // SAFETY: the ring owns the descriptor, and outlives this borrow of it.
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
