//! What the helper has by descriptors that the attacker shares: its memory, a file system in the
//! making, a count of events, a timer.

use super::super::attacker::Attacker;
use super::super::helper::{EPOLL, EVENTS, FILE_SYSTEM, MEMORY, TIMER};
use super::super::outside::Outside;
use super::{entry, Entry};
use libc::{MAP_SHARED, PROT_READ, PROT_WRITE};

/// Calls that libc's table of numbers does not have.
const SYS_FUTEX_WAKE: i64 = 454;
const SYS_FUTEX_REQUEUE: i64 = 456;

/// `futex.h`: a futex of 32 bits, which processes may share.
const FUTEX2_SIZE_U32: i32 = 2;

/// Where the helper's memory is in the attacker's: below 4 GiB.
const AT: i64 = 0x3400_0000;

/// What the helper has by this descriptor, in the attacker's hands, lawfully.
pub fn held(a: &mut Attacker, number: i32) -> i64 {
    let helper = a.lawful(libc::SYS_pidfd_open, args![a.stage.helper, 0]);
    a.lawful(libc::SYS_pidfd_getfd, args![helper, number, 0])
}

/// The helper's memory, lawfully.
fn memory(a: &mut Attacker) -> i64 {
    let file = held(a, MEMORY);
    // With its page: where a fatal signal is pending none is brought in any more.
    let flags = MAP_SHARED | libc::MAP_FIXED | libc::MAP_POPULATE;
    a.lawful(libc::SYS_mmap, args![AT, 4096, PROT_READ | PROT_WRITE, flags, file, 0])
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "futex-wake",
        libc::SYS_futex,
        |a| args![memory(a), libc::FUTEX_WAKE, 1],
        Outside::helper_woken,
    )
    .i386(240),
    entry(
        "futex_wake",
        SYS_FUTEX_WAKE,
        |a| args![memory(a), 0xffff_ffff_i64, 1, FUTEX2_SIZE_U32],
        Outside::helper_woken,
    )
    .i386(454)
    .optional(),
    entry(
        "futex_requeue",
        SYS_FUTEX_REQUEUE,
        |a| {
            // Two of struct futex_waitv: the value, the address, the flags.
            let futex = memory(a);
            let kind = FUTEX2_SIZE_U32.into();
            args![a.words(&[0, futex, kind, 0, futex + 8, kind]), 0, 1, 0]
        },
        Outside::helper_woken,
    )
    .i386(456)
    .optional(),
    entry(
        "fsconfig-flag",
        libc::SYS_fsconfig,
        // FSCONFIG_SET_FLAG
        |a| args![held(a, FILE_SYSTEM), 0, a.text("ro"), 0, 0],
        Outside::helper_read_only,
    )
    .i386(431)
    .harms(),
    entry(
        "timerfd_settime",
        libc::SYS_timerfd_settime,
        // struct itimerspec: no interval, 5,000 seconds.
        |a| args![held(a, TIMER), 0, a.words(&[0, 0, 5000, 0]), 0],
        |o| o.helper_described(TIMER).contains("it_value: (4"),
    )
    .i386(411)
    .harms(),
    entry(
        "epoll_ctl-add",
        libc::SYS_epoll_ctl,
        |a| {
            // What the attacker alone has open is left out when it ends.
            let events = held(a, EVENTS);
            args![held(a, EPOLL), libc::EPOLL_CTL_ADD, events, a.halves(&[1, 0, 0])]
        },
        |o| o.helper_described(EPOLL).contains("tfd:"),
    )
    .i386(255)
    .harms(),
    entry(
        "lseek",
        libc::SYS_lseek,
        |a| args![held(a, MEMORY), 77, libc::SEEK_SET],
        |o| o.helper_described(MEMORY).contains("pos:\t77"),
    )
    .i386(19)
    .harms(),
    entry(
        "madvise-remove",
        libc::SYS_madvise,
        |a| {
            let at = memory(a);
            let file = held(a, MEMORY);
            let text = a.text("xxxx");
            a.lawful(libc::SYS_pwrite64, args![file, text, 4, 4]);
            args![at, 4096, libc::MADV_REMOVE]
        },
        // The count of wakes holds the text until then.
        |o| super::super::outside::wakes(o.stage.helper) == 0,
    )
    .i386(219)
    .harms(),
    entry(
        "fcntl-flags",
        libc::SYS_fcntl,
        |a| args![held(a, EVENTS), libc::F_SETFL, 0],
        |o| o.helper_described(EVENTS).contains("flags:\t02\n"),
    )
    .i386(55)
    .harms(),
];
