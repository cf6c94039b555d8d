//! Bytes that go into what is open.

use super::super::attacker::Attacker;
use super::super::outside::Outside;
use super::super::stage::PAIR;
use super::{entry, Entry};
use libc::{O_RDONLY, O_WRONLY};

/// An `iovec` of 6 bytes.
fn vector(a: &mut Attacker) -> i64 {
    let text = a.text("forbid");
    a.words(&[text, 6])
}

/// The reading end of a pipe that holds 6 bytes.
fn full_pipe(a: &mut Attacker) -> i64 {
    let ends = a.halves(&[0, 0]);
    a.lawful(libc::SYS_pipe, args![ends]);
    let [reader, writer] = a.read_halves(ends);
    let text = a.text("forbid");
    a.lawful(libc::SYS_write, args![writer, text, 6]);
    reader.into()
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "write-file",
        libc::SYS_write,
        |a| args![a.open("file", O_WRONLY), a.text("forbid"), 6],
        Outside::rewritten,
    )
    .i386(4),
    entry(
        "pwrite64-file",
        libc::SYS_pwrite64,
        |a| args![a.open("file", O_WRONLY), a.text("forbid"), 6, 0],
        Outside::rewritten,
    )
    .i386(181),
    entry(
        "writev-file",
        libc::SYS_writev,
        |a| args![a.open("file", O_WRONLY), vector(a), 1],
        Outside::rewritten,
    ),
    entry(
        "pwritev2-file",
        libc::SYS_pwritev2,
        |a| args![a.open("file", O_WRONLY), vector(a), 1, 0, 0, 0],
        Outside::rewritten,
    ),
    entry(
        "write-pipe",
        libc::SYS_write,
        |a| args![a.open("pipe", O_WRONLY), a.text("forbid"), 6],
        Outside::piped,
    )
    .i386(4),
    entry(
        "writev-pipe",
        libc::SYS_writev,
        |a| args![a.open("pipe", O_WRONLY), vector(a), 1],
        Outside::piped,
    ),
    entry(
        "vmsplice-pipe",
        libc::SYS_vmsplice,
        |a| args![a.open("pipe", O_WRONLY), vector(a), 1, 0],
        Outside::piped,
    ),
    entry(
        "tee-pipe",
        libc::SYS_tee,
        |a| args![full_pipe(a), a.open("pipe", O_WRONLY), 6, 0],
        Outside::piped,
    )
    .i386(315),
    entry(
        "write-tcp",
        libc::SYS_write,
        |a| args![a.connected(), a.text("forbid"), 6],
        Outside::received,
    )
    .i386(4),
    entry(
        "write-unix",
        libc::SYS_write,
        |a| args![PAIR, a.text("forbid"), 6],
        Outside::pair_received,
    )
    .i386(4),
    entry(
        "sendfile",
        libc::SYS_sendfile,
        |a| args![a.open("file", O_WRONLY), a.open("text", O_RDONLY), 0, 6],
        Outside::rewritten,
    )
    .i386(187),
    entry(
        "splice",
        libc::SYS_splice,
        |a| args![full_pipe(a), 0, a.open("file", O_WRONLY), 0, 6, 0],
        Outside::rewritten,
    )
    .i386(313),
    entry(
        "splice-pipes",
        libc::SYS_splice,
        |a| args![full_pipe(a), 0, a.open("pipe", O_WRONLY), 0, 6, 0],
        Outside::piped,
    )
    .i386(313),
    entry(
        "copy_file_range",
        libc::SYS_copy_file_range,
        |a| args![a.open("text", O_RDONLY), 0, a.open("file", O_WRONLY), 0, 6, 0],
        Outside::rewritten,
    )
    .i386(377),
    entry(
        "fallocate",
        libc::SYS_fallocate,
        |a| args![a.open("file", O_WRONLY), 0, 0, 4096],
        |o| o.file(|m| m.len() == 4096),
    ),
];
