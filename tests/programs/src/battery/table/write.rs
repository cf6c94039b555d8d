//! Bytes that go into what is open.

use super::super::attacker::Attacker;
use super::super::outside::Outside;
use super::super::stage::PAIR;
use super::{entry, entry_i386, Entry};
use libc::{SYS_pwrite64, SYS_pwritev2, SYS_vmsplice, SYS_write, SYS_writev, O_RDONLY, O_WRONLY};

/// The arguments of write and of its like: where to, and 6 bytes.
fn text(to: i64, a: &mut Attacker) -> [i64; 6] {
    args![to, a.text("forbid"), 6]
}

/// The arguments of writev and of its like: where to, and an `iovec` of 6 bytes.
fn vector(to: i64, a: &mut Attacker) -> [i64; 6] {
    let text = a.text("forbid");
    args![to, a.words(&[text, 6]), 1]
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
    entry("write-file", SYS_write, |a| text(a.open("file", O_WRONLY), a), Outside::rewritten)
        .i386(4),
    entry("pwrite64-file", SYS_pwrite64, |a| text(a.open("file", O_WRONLY), a), Outside::rewritten)
        .i386(181),
    entry("writev-file", SYS_writev, |a| vector(a.open("file", O_WRONLY), a), Outside::rewritten),
    entry(
        "pwritev2-file",
        SYS_pwritev2,
        |a| vector(a.open("file", O_WRONLY), a),
        Outside::rewritten,
    ),
    entry("write-pipe", SYS_write, |a| text(a.open("pipe", O_WRONLY), a), Outside::piped).i386(4),
    entry("writev-pipe", SYS_writev, |a| vector(a.open("pipe", O_WRONLY), a), Outside::piped),
    entry("vmsplice-pipe", SYS_vmsplice, |a| vector(a.open("pipe", O_WRONLY), a), Outside::piped),
    entry_i386(
        "vmsplice-pipe",
        316,
        |a| {
            // An `iovec` of two 32-bit words.
            let to = a.open("pipe", O_WRONLY);
            let text = i32::try_from(a.text("forbid")).unwrap_or(0);
            args![to, a.halves(&[text, 6]), 1]
        },
        Outside::piped,
    ),
    entry(
        "tee-pipe",
        libc::SYS_tee,
        |a| args![full_pipe(a), a.open("pipe", O_WRONLY), 6, 0],
        Outside::piped,
    )
    .i386(315),
    entry("write-tcp", SYS_write, |a| text(a.connected(), a), Outside::received).i386(4),
    entry("write-unix", SYS_write, |a| text(PAIR.into(), a), Outside::pair_received).i386(4),
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
