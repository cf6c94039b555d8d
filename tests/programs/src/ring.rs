//! `io_uring` by its bare calls.

use std::io::{Error, Result};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

const READ: u8 = 22; // IORING_OP_READ (include/uapi/linux/io_uring.h)
const SUBMISSIONS: i64 = 0; // IORING_OFF_SQ_RING
const COMPLETIONS: i64 = 0x0800_0000; // IORING_OFF_CQ_RING
const ENTRIES: i64 = 0x1000_0000; // IORING_OFF_SQES

/// `struct io_uring_params`.
#[repr(C)]
#[derive(Default)]
struct Parameters {
    submissions: u32,
    completions: u32,
    rest: [u32; 8],
    /// Head, tail, mask, entries, flags, dropped, array.
    submission_offsets: [u32; 10],
    /// Head, tail, mask, entries, overflow, completions.
    completion_offsets: [u32; 10],
}

/// A ring, which takes one request at a time.
pub struct Ring {
    descriptor: i32,
    submissions: *mut u8,
    completions: *mut u8,
    entry: *mut [u64; 8],
    parameters: Parameters,
}

impl Ring {
    /// A ring of so many entries.
    ///
    /// # Errors
    /// The kernel has no `io_uring`.
    pub fn new(entries: u32) -> Result<Self> {
        let mut parameters = Parameters::default();
        // SAFETY: the kernel fills in the parameters.
        let made = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, &raw mut parameters) };
        let descriptor = i32::try_from(made).unwrap_or(-1);
        if descriptor < 0 {
            return Err(Error::last_os_error());
        }
        let map = |offset: i64| {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: a new mapping of a page, which all of a small ring is in.
            let at = unsafe {
                libc::mmap(ptr::null_mut(), 4096, access, libc::MAP_SHARED, descriptor, offset)
            };
            assert_ne!(at, libc::MAP_FAILED, "{}", Error::last_os_error());
            at
        };
        Ok(Ring {
            descriptor,
            submissions: map(SUBMISSIONS).cast(),
            completions: map(COMPLETIONS).cast(),
            entry: map(ENTRIES).cast(),
            parameters,
        })
    }

    fn submission(&self, field: usize) -> &AtomicU32 {
        let offset = self.parameters.submission_offsets[field];
        // SAFETY: the kernel has said that the field is there.
        unsafe { &*self.submissions.add(offset as usize).cast() }
    }

    fn completion(&self, field: usize) -> &AtomicU32 {
        let offset = self.parameters.completion_offsets[field];
        // SAFETY: as above.
        unsafe { &*self.completions.add(offset as usize).cast() }
    }

    /// Asks for a byte of a file, which has to be readable until there is a result.
    pub fn read(&mut self, file: i32, to: *mut u8) {
        let tail = self.submission(1).load(Ordering::Relaxed);
        assert_eq!(tail, 0, "one request");
        let opcode_and_file = u64::from(READ) | u64::from(file.cast_unsigned()) << 32;
        // SAFETY: the first entry is ours until the request is made. The fields of struct
        // io_uring_sqe are opcode and fd, offset (-1: none), address, and length.
        unsafe { self.entry.write([opcode_and_file, u64::MAX, to as u64, 1, 0, 0, 0, 0]) };
        self.submission(6).store(0, Ordering::Relaxed);
        self.submission(1).store(1, Ordering::Release);
        // SAFETY: it takes numbers.
        let taken = unsafe {
            libc::syscall(libc::SYS_io_uring_enter, self.descriptor, 1, 0, 0, ptr::null::<u8>(), 0)
        };
        assert_eq!(taken, 1, "{}", Error::last_os_error());
    }

    /// The result of the request, if there is one: without a call.
    pub fn result(&self) -> Option<i32> {
        if self.completion(1).load(Ordering::Acquire) == 0 {
            return None;
        }
        let offset = self.parameters.completion_offsets[5] as usize;
        // SAFETY: the kernel has written the completion there: user data, then the result.
        let result: &AtomicU32 = unsafe { &*self.completions.add(offset + 8).cast() };
        Some(result.load(Ordering::Relaxed).cast_signed())
    }
}
