//! A program that behaves at random and writes down what it does (`sysfsm_fixtures::behaviour`).
//!
//! `behave TRACE SLOT` maps the file TRACE, and goes on with the task of that slot: it makes calls
//! and faults, in its signal handlers too, which it returns from, leaves, or makes frames up for; it
//! makes tasks of all kinds, sends them signals, execs itself, and ends somewhere. What it may do is
//! bounded by its budget. It has no runtime: it makes no call but those that it writes down.
//! Run it in a pid namespace (`nursery`): it sends signals to whatever ids its tasks have had.

#![no_main]
#![allow(unsafe_code)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::indexing_slicing
)]

mod handlers;
mod play;
mod stubs;
mod tasks;
mod thread;

use stubs::behave_stack;
use sysfsm_fixtures::behaviour::{
    bounds, region, Area, Trace, BEFORE, REGION, REGIONS, SLOTS, TRACE,
};
use thread::{raw, Thread};

pub(crate) use handlers::handle;
pub(crate) use tasks::born;

/// The bytes of a number's digits.
unsafe fn number(mut text: *const u8) -> u32 {
    let mut number = 0;
    // SAFETY: the kernel's arguments end in a zero.
    unsafe {
        while *text != 0 {
            number = number * 10 + u32::from(*text - b'0');
            text = text.add(1);
        }
    }
    number
}

/// The first function: the kernel has left the arguments on the stack.
pub(crate) extern "C" fn start(stack: *const u64) -> ! {
    // SAFETY: the test gives two arguments, the second one a number.
    let (path, slot) = unsafe { (*stack.add(2), number(*stack.add(3) as *const u8)) };
    // Past the file's last page there is one that faults.
    let length = (size_of::<Trace>() as u64).next_multiple_of(4096) + 4096;
    let shared = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    // SAFETY: places where nothing is. The tag of the first call says which slot it is.
    unsafe {
        let tag = u64::from(slot) << 16 | u64::from(BEFORE);
        let fd = raw(libc::SYS_open, [path, (libc::O_RDWR | libc::O_CLOEXEC) as u64, 0, 0, 0, tag]);
        let fixed = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;
        raw(libc::SYS_mmap, [TRACE, length, shared, fixed, fd as u64, 0]);
        let memory =
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let size = REGION * SLOTS as u64;
        raw(libc::SYS_mmap, [REGIONS, size, shared, memory as u64, u64::MAX, 0]);
        let (_, end) = bounds(region(slot), Area::Main);
        Thread::init(slot);
        behave_stack(region(slot), end, play::first)
    }
}
