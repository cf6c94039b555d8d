//! Calls that `io_uring` makes for the attacker: the forbidden call is the one that hands them in.

use super::super::attacker::Attacker;
use super::super::helper::{EPOLL, EVENTS};
use super::super::outside::Outside;
use super::super::stage::PAIR;
use super::held::held;
use super::{entry, Entry, AT_FDCWD};
use libc::{MAP_SHARED, O_CREAT, O_WRONLY, PROT_READ, PROT_WRITE};

/// `include/uapi/linux/io_uring.h`
const IORING_REGISTER_EVENTFD: i32 = 4;
const IORING_OFF_SQES: i64 = 0x1000_0000;
/// A worker of `io_uring`'s makes the call.
const IOSQE_ASYNC: i64 = 1 << 4;
const IORING_OP_NOP: i64 = 0;
const IORING_OP_CONNECT: i64 = 16;
const IORING_OP_FALLOCATE: i64 = 17;
const IORING_OP_OPENAT: i64 = 18;
const IORING_OP_WRITE: i64 = 23;
const IORING_OP_SEND: i64 = 26;
const IORING_OP_EPOLL_CTL: i64 = 29;
const IORING_OP_RENAMEAT: i64 = 35;
const IORING_OP_UNLINKAT: i64 = 36;
const IORING_OP_MKDIRAT: i64 = 37;
const IORING_OP_SYMLINKAT: i64 = 38;
const IORING_OP_LINKAT: i64 = 39;

/// The fields of `struct io_uring_sqe` that the requests here use; the rest are zeros.
#[derive(Default)]
struct Request {
    operation: i64,
    flags: i64,
    file: i64,
    offset: i64,
    address: i64,
    length: i64,
    operation_flags: i64,
}

/// The arguments of `io_uring_enter` that hands in a request, whose completion adds to the helper's
/// count of events.
fn submit(a: &mut Attacker, request: &Request) -> [i64; 6] {
    // struct io_uring_params: 120 bytes. At 44 the kernel says where the submission ring's tail is.
    let parameters = a.halves(&[0; 30]);
    let ring = a.lawful(libc::SYS_io_uring_setup, args![4, parameters]);
    let [tail, _] = a.read_halves(parameters + 44);
    // The kernel takes no address here (io_uring_get_unmapped_area, io_uring/memmap.c).
    let map = |offset| {
        let access = PROT_READ | PROT_WRITE;
        a.lawful(libc::SYS_mmap, args![0, 4096, access, MAP_SHARED, ring, offset])
    };
    let (at, entry) = (map(0), map(IORING_OFF_SQES));
    let events = i32::try_from(held(a, EVENTS)).unwrap_or(-1);
    let events = a.halves(&[events, 0]);
    a.lawful(libc::SYS_io_uring_register, args![ring, IORING_REGISTER_EVENTFD, events, 1]);
    let words = [
        request.operation | request.flags << 8 | request.file << 32,
        request.offset,
        request.address,
        request.length & 0xffff_ffff | request.operation_flags << 32,
    ];
    for (place, word) in (entry..).step_by(8).zip(words) {
        let [low, high] = [word & 0xffff_ffff, word >> 32 & 0xffff_ffff];
        a.put(place, u32::try_from(low).unwrap_or(0));
        a.put(place + 4, u32::try_from(high).unwrap_or(0));
    }
    a.put(at + i64::from(tail), 1);
    args![ring, 1, 0, 0, 0, 0]
}

/// A request about a path, relative to nothing.
fn about(operation: i64, address: i64) -> Request {
    Request { operation, file: AT_FDCWD.into(), address, ..Request::default() }
}

/// What renames the stage's `file`, or links it.
fn file_to_made(a: &mut Attacker, operation: i64) -> [i64; 6] {
    let request = about(operation, a.path("file"));
    let (offset, length) = (a.path("made"), AT_FDCWD.into());
    submit(a, &Request { offset, length, ..request })
}

fn write(a: &mut Attacker, flags: i64) -> [i64; 6] {
    let (file, address) = (a.open("file", O_WRONLY), a.text("forbid"));
    let operation = IORING_OP_WRITE;
    submit(a, &Request { operation, flags, file, address, length: 6, ..Request::default() })
}

/// By the forbidden call `io_uring_enter`, which a kernel may be told not to have.
const fn handed_in(
    name: &'static str,
    prepare: fn(&mut Attacker) -> [i64; 6],
    seen: fn(&Outside) -> bool,
) -> Entry {
    entry(name, libc::SYS_io_uring_enter, prepare, seen).i386(426).optional()
}

pub const ENTRIES: &[Entry] = &[
    handed_in(
        "io_uring_enter-event",
        |a| submit(a, &Request { operation: IORING_OP_NOP, ..Request::default() }),
        Outside::helper_event,
    )
    .harms(),
    handed_in("io_uring_enter-write", |a| write(a, 0), |o| o.soon(Outside::rewritten)),
    handed_in(
        "io_uring_enter-write-async",
        |a| write(a, IOSQE_ASYNC),
        |o| o.soon(Outside::rewritten),
    ),
    handed_in(
        "io_uring_enter-fallocate",
        |a| {
            // The length is where others have an address.
            let (operation, file) = (IORING_OP_FALLOCATE, a.open("file", O_WRONLY));
            submit(a, &Request { operation, file, address: 4096, ..Request::default() })
        },
        |o| o.soon(|o| o.file(|m| m.len() == 4096)),
    ),
    handed_in(
        "io_uring_enter-openat",
        |a| {
            let request = about(IORING_OP_OPENAT, a.path("made"));
            let operation_flags = i64::from(O_CREAT | O_WRONLY);
            submit(a, &Request { length: 0o600, operation_flags, ..request })
        },
        |o| o.soon(|o| o.exists("made")),
    ),
    handed_in(
        "io_uring_enter-unlinkat",
        |a| {
            let request = about(IORING_OP_UNLINKAT, a.path("file"));
            submit(a, &request)
        },
        |o| o.soon(|o| !o.exists("file")),
    ),
    handed_in(
        "io_uring_enter-renameat",
        |a| file_to_made(a, IORING_OP_RENAMEAT),
        |o| o.soon(|o| o.exists("made")),
    ),
    handed_in(
        "io_uring_enter-mkdirat",
        |a| {
            let request = about(IORING_OP_MKDIRAT, a.path("made"));
            submit(a, &Request { length: 0o700, ..request })
        },
        |o| o.soon(|o| o.exists("made")),
    ),
    handed_in(
        "io_uring_enter-symlinkat",
        |a| {
            let request = about(IORING_OP_SYMLINKAT, a.text("file"));
            let offset = a.path("made");
            submit(a, &Request { offset, ..request })
        },
        |o| o.soon(|o| o.exists("made")),
    ),
    handed_in(
        "io_uring_enter-linkat",
        |a| file_to_made(a, IORING_OP_LINKAT),
        |o| o.soon(|o| o.exists("made")),
    ),
    handed_in(
        "io_uring_enter-send",
        |a| {
            let (operation, address) = (IORING_OP_SEND, a.text("forbid"));
            let file = PAIR.into();
            submit(a, &Request { operation, file, address, length: 6, ..Request::default() })
        },
        |o| o.soon(Outside::pair_received),
    ),
    handed_in(
        "io_uring_enter-connect",
        |a| {
            let file = a.socket(libc::AF_INET, libc::SOCK_STREAM);
            let address = a.address(a.stage.tcp);
            let (operation, offset) = (IORING_OP_CONNECT, 16);
            submit(a, &Request { operation, file, offset, address, ..Request::default() })
        },
        |o| o.soon(Outside::connected),
    ),
    handed_in(
        "io_uring_enter-epoll_ctl",
        |a| {
            let (file, offset) = (held(a, EPOLL), held(a, EVENTS));
            let (operation, address) = (IORING_OP_EPOLL_CTL, a.halves(&[1, 0, 0]));
            let length = libc::EPOLL_CTL_ADD.into();
            submit(a, &Request { operation, file, offset, address, length, ..Request::default() })
        },
        |o| o.soon(|o| o.helper_described(EPOLL).contains("tfd:")),
    )
    .harms(),
];
