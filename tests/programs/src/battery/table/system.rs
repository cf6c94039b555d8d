//! The machine. Modules and swap space cannot be had in a guest: there the kernel's own error tells
//! that the call got as far as its work.

use super::super::attacker::Attacker;
use super::super::outside::{setting, Outside};
use super::{entry, Entry};
use libc::{MS_BIND, MS_PRIVATE, MS_REC, RB_DISABLE_CAD};

/// reboot.h: `LINUX_REBOOT_MAGIC1` and 2.
const MAGIC: [i64; 2] = [0xfee1_dead, 672_274_793];

/// syslog(2): sets the level of what the console shows.
const CONSOLE_LEVEL: i32 = 8;

/// A time in the year 2030, in seconds.
const TIME: i64 = 1_900_000_000;

/// Mounts a file system on a directory of the stage, lawfully.
fn mount(a: &mut Attacker, name: &str) -> i64 {
    let (source, kind, path) = (a.text("battery"), a.text("tmpfs"), a.path(name));
    a.lawful(libc::SYS_mount, args![source, path, kind, 0, 0]);
    path
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "mount",
        libc::SYS_mount,
        |a| args![a.text("battery"), a.path("mnt"), a.text("tmpfs"), 0, 0],
        |o| o.mounted("mnt"),
    )
    .i386(21),
    entry("umount2", libc::SYS_umount2, |a| args![mount(a, "mnt"), 0], |o| !o.mounted("mnt"))
        .i386(52),
    entry(
        "sethostname",
        libc::SYS_sethostname,
        |a| args![a.text("seized"), 6],
        |_| setting("/proc/sys/kernel/hostname") == "seized",
    )
    .i386(74),
    entry(
        "setdomainname",
        libc::SYS_setdomainname,
        |a| args![a.text("seized"), 6],
        |_| setting("/proc/sys/kernel/domainname") == "seized",
    )
    .i386(121),
    entry(
        "settimeofday",
        libc::SYS_settimeofday,
        |a| args![a.words(&[TIME, 0]), 0],
        Outside::clock_set,
    ),
    entry(
        "clock_settime",
        libc::SYS_clock_settime,
        |a| args![libc::CLOCK_REALTIME, a.words(&[TIME, 0])],
        Outside::clock_set,
    )
    .i386(404),
    entry(
        "reboot-cad-off",
        libc::SYS_reboot,
        |_| args![MAGIC[0], MAGIC[1], RB_DISABLE_CAD, 0],
        |_| setting("/proc/sys/kernel/ctrl-alt-del") == "0",
    )
    .i386(88),
    entry(
        "syslog-level",
        libc::SYS_syslog,
        |_| args![CONSOLE_LEVEL, 0, 2],
        |_| setting("/proc/sys/kernel/printk").starts_with("2 "),
    )
    .i386(103),
    entry(
        "init_module",
        libc::SYS_init_module,
        |a| args![a.text("no module"), 9, a.text("")],
        |o| o.failed(libc::ENOEXEC),
    )
    .i386(128),
    entry(
        "finit_module",
        libc::SYS_finit_module,
        |a| args![a.open("file", libc::O_RDONLY), a.text(""), 0],
        |o| o.failed(libc::ENOEXEC),
    )
    .i386(350),
    entry(
        "delete_module",
        libc::SYS_delete_module,
        |a| args![a.text("no_module"), libc::O_NONBLOCK],
        |o| o.failed(libc::ENOENT),
    )
    .i386(129),
    // A file of tmpfs has no blocks to swap to.
    entry("swapon", libc::SYS_swapon, |a| args![a.path("file"), 0], |o| o.failed(libc::EINVAL))
        .i386(87),
    entry(
        "pivot_root",
        libc::SYS_pivot_root,
        |a| {
            // In namespaces of its own, as nothing may be shared (pivot_root(2)).
            a.lawful(libc::SYS_unshare, args![libc::CLONE_NEWNS]);
            let (none, root, new) = (a.text("none"), a.text("/"), a.path("new"));
            let private = i64::try_from(MS_REC | MS_PRIVATE).unwrap_or(0);
            a.lawful(libc::SYS_mount, args![none, root, 0, private, 0]);
            let bind = i64::try_from(MS_BIND).unwrap_or(0);
            a.lawful(libc::SYS_mount, args![new, new, 0, bind, 0]);
            args![new, a.path("new/old")]
        },
        |o| std::fs::metadata(format!("/proc/{}/root/old", o.attacker)).is_ok(),
    )
    .i386(217),
];
