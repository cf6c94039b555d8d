//! What the attacker is and where it lives, as /proc shows it while it waits.

use super::{entry, Entry};
use std::path::Path;

/// Anybody but root.
const OTHER: i32 = 1000;

const PR_SET_NAME: i32 = libc::PR_SET_NAME;
const PR_SET_NO_NEW_PRIVS: i32 = libc::PR_SET_NO_NEW_PRIVS;

pub const ENTRIES: &[Entry] = &[
    entry("setuid", libc::SYS_setuid, |_| args![OTHER], |o| o.status("Uid").starts_with("1000"))
        .i386(213),
    entry(
        "setresuid",
        libc::SYS_setresuid,
        |_| args![-1, OTHER, -1],
        |o| o.status("Uid").contains("1000"),
    )
    .i386(208),
    entry("setgid", libc::SYS_setgid, |_| args![OTHER], |o| o.status("Gid").starts_with("1000"))
        .i386(214),
    entry(
        "setgroups",
        libc::SYS_setgroups,
        |a| args![1, a.halves(&[OTHER])],
        |o| o.status("Groups").contains("1000"),
    )
    .i386(206),
    entry(
        "capset",
        libc::SYS_capset,
        |a| {
            // _LINUX_CAPABILITY_VERSION_3 of this process; no capability at all.
            let (header, none) = (a.halves(&[0x2008_0522, 0]), a.halves(&[0; 6]));
            args![header, none]
        },
        |o| o.status("CapPrm") == "0000000000000000",
    )
    .i386(185),
    entry(
        "prctl-name",
        libc::SYS_prctl,
        |a| args![PR_SET_NAME, a.text("renamed")],
        |o| o.proc("comm").trim() == "renamed",
    )
    .i386(172),
    entry(
        "prctl-no-new-privs",
        libc::SYS_prctl,
        |_| args![PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0],
        |o| o.status("NoNewPrivs") == "1",
    )
    .i386(172),
    entry(
        "setrlimit",
        libc::SYS_setrlimit,
        |a| args![libc::RLIMIT_CORE, a.words(&[1234, 5678])],
        |o| o.proc("limits").contains(" 1234 "),
    ),
    entry(
        "unshare",
        libc::SYS_unshare,
        |_| args![libc::CLONE_NEWUTS],
        |o| {
            let (theirs, ours) = (o.link("ns/uts"), std::fs::read_link("/proc/self/ns/uts"));
            !theirs.is_empty() && ours.is_ok_and(|ours| ours != Path::new(&theirs))
        },
    )
    .i386(310),
    entry(
        "setns",
        libc::SYS_setns,
        |a| {
            let path = a.text(&format!("/proc/{}/ns/uts", a.stage.helper));
            args![a.lawful(libc::SYS_open, args![path, libc::O_RDONLY]), 0]
        },
        |o| !o.link("ns/uts").is_empty() && o.link("ns/uts") == o.helper_link("ns/uts"),
    )
    .i386(346),
    entry(
        "chroot",
        libc::SYS_chroot,
        |a| args![a.path("empty")],
        |o| o.link("root").ends_with("/empty"),
    )
    .i386(61),
];
