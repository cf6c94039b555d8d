//! Memory that may be executed. The attacker's maps are looked at while it waits.

use super::super::attacker::Attacker;
use super::{entry, Entry};
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE};

/// Where the pages are: below 4 GiB, where nothing else is.
const NEW: i64 = 0x3000_0000;
const FILE: i64 = 0x3100_0000;
const OWN: i64 = 0x3200_0000;
const SHARED: i64 = 0x3300_0000;

const PAGE: i64 = 4096;

/// A page of data, lawfully.
fn data(a: &mut Attacker) -> i64 {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    a.lawful(libc::SYS_mmap, args![OWN, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0])
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "mmap-code",
        libc::SYS_mmap,
        |_| {
            let access = PROT_READ | PROT_WRITE | PROT_EXEC;
            args![NEW, PAGE, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0]
        },
        |o| o.executable(NEW),
    )
    .i386(192),
    entry(
        "mmap-file-code",
        libc::SYS_mmap,
        |a| {
            let file = a.open("file", libc::O_RDONLY);
            args![FILE, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, file, 0]
        },
        |o| o.executable(FILE),
    )
    .i386(192),
    entry(
        "mprotect-code",
        libc::SYS_mprotect,
        |a| args![data(a), PAGE, PROT_READ | PROT_EXEC],
        |o| o.executable(OWN),
    )
    .i386(125),
    entry(
        "pkey_mprotect-code",
        libc::SYS_pkey_mprotect,
        // Without a key it is mprotect.
        |a| args![data(a), PAGE, PROT_READ | PROT_EXEC, -1],
        |o| o.executable(OWN),
    )
    .i386(380),
    entry(
        "shmat-code",
        libc::SYS_shmat,
        |a| {
            let shared =
                a.lawful(libc::SYS_shmget, args![a.stage.key, PAGE, libc::IPC_CREAT | 0o700]);
            args![shared, SHARED, libc::SHM_EXEC]
        },
        |o| o.executable(SHARED),
    )
    .i386(397),
];
