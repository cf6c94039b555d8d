//! Objects of the kernel: maps, keys, queues, rings, watches.

use super::super::attacker::Attacker;
use super::super::outside::Outside;
use super::{entry, Entry};
use libc::IPC_CREAT;

/// keyutils.h: the keyring of the user, and what revokes a key.
const USER_KEYRING: i32 = -4;
const KEYCTL_REVOKE: i32 = 3;
const KEYCTL_INVALIDATE: i32 = 21;

/// The arguments of an `add_key` to the user's keyring.
fn key(a: &mut Attacker) -> [i64; 6] {
    let name = a.text(&format!("battery-{}", a.stage.key));
    args![a.text("user"), name, a.text("secret"), 6, USER_KEYRING]
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "bpf-map",
        libc::SYS_bpf,
        |a| {
            // BPF_MAP_CREATE: an array of one value, key and value 4 bytes each.
            let map = a.halves(&[2, 4, 4, 1, 0]);
            args![0, map, 20]
        },
        |o| o.holds("bpf-map"),
    )
    .i386(357),
    entry(
        "perf_event_open",
        libc::SYS_perf_event_open,
        |a| {
            // struct perf_event_attr: PERF_TYPE_SOFTWARE, 64 bytes, PERF_COUNT_SW_DUMMY
            let mut attributes = [0; 16];
            attributes[..3].copy_from_slice(&[1, 64, 9]);
            args![a.halves(&attributes), 0, -1, -1, 0]
        },
        |o| o.holds("[perf_event]"),
    )
    .i386(336),
    entry("add_key", libc::SYS_add_key, key, Outside::keyed).i386(286),
    entry(
        "keyctl-revoke",
        libc::SYS_keyctl,
        |a| {
            let arguments = key(a);
            args![KEYCTL_REVOKE, a.lawful(libc::SYS_add_key, arguments)]
        },
        |o| !o.keyed(),
    )
    .i386(288),
    entry(
        "keyctl-invalidate",
        libc::SYS_keyctl,
        |a| {
            let arguments = key(a);
            args![KEYCTL_INVALIDATE, a.lawful(libc::SYS_add_key, arguments)]
        },
        |o| !o.keyed(),
    )
    .i386(288)
    // The search for the key is refused first (keyring_search_iterator, security/keys/keyring.c).
    .error(libc::EACCES),
    entry(
        "shmget",
        libc::SYS_shmget,
        |a| args![a.stage.key, 4096, IPC_CREAT | 0o600],
        |o| o.ipc("shm", "shmid").is_some(),
    )
    .i386(395),
    entry(
        "msgget",
        libc::SYS_msgget,
        |a| args![a.stage.key, IPC_CREAT | 0o600],
        |o| o.ipc("msg", "msqid").is_some(),
    )
    .i386(399),
    entry(
        "msgsnd",
        libc::SYS_msgsnd,
        |a| {
            let queue = a.lawful(libc::SYS_msgget, args![a.stage.key, IPC_CREAT | 0o600]);
            // A message of the type 1; in 32 bits too, with another text.
            args![queue, a.words(&[1, 2]), 8, 0]
        },
        |o| o.ipc("msg", "qnum").is_some_and(|number| number == "1"),
    )
    .i386(400),
    entry(
        "semop",
        libc::SYS_semop,
        |a| {
            let set = a.lawful(libc::SYS_semget, args![a.stage.key, 1, IPC_CREAT | 0o600]);
            // struct sembuf, 16 bits each: semaphore 0, plus 1. In 32 bits it is semtimedop_time64
            // without a time.
            args![set, a.halves(&[1 << 16, 0]), 1, 0]
        },
        |o| o.ipc("sem", "otime").is_some_and(|time| time != "0"),
    )
    .i386(420),
    entry(
        "memfd_create",
        libc::SYS_memfd_create,
        |a| args![a.text("hidden"), 0],
        |o| o.holds("memfd:hidden"),
    )
    .i386(356),
    entry(
        "io_uring_setup",
        libc::SYS_io_uring_setup,
        |a| args![1, a.halves(&[0; 30])],
        |o| o.holds("[io_uring]"),
    )
    .i386(425)
    .optional(),
    entry(
        "inotify_add_watch",
        libc::SYS_inotify_add_watch,
        |a| {
            let watcher = a.lawful(libc::SYS_inotify_init1, args![0]);
            args![watcher, a.path("empty"), libc::IN_CREATE]
        },
        |o| o.described("inotify wd:"),
    )
    .i386(292),
];
