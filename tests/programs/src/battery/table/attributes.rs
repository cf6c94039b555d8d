//! Attributes of files by the calls that files.rs has not: by descriptors, by old forms and by the
//! newest ones; locks; where the attacker is.

use super::super::attacker::Attacker;
use super::super::outside::Outside;
use super::{entry, Entry, AT_FDCWD};
use libc::{AT_EMPTY_PATH, O_DIRECTORY, O_RDONLY, O_WRONLY};
use std::os::unix::fs::MetadataExt as _;

/// Calls that libc's table of numbers does not have.
const SYS_FCHMODAT2: i64 = 452;
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;
const SYS_FILE_SETATTR: i64 = 469;
const SYS_FCHROOT: i64 = 472;

/// Of anybody else but root.
const OTHER: u32 = 1000;

/// fs.h: not to be dumped, as `FS_IOC_GETFLAGS` says and as `struct file_attr` does.
const FS_NODUMP: i32 = 0x40;
const FS_XFLAG_NODUMP: i64 = 0x80;

/// A file whose time was set is not from the year 2001 any more.
fn touched(o: &Outside) -> bool {
    o.file(|m| m.mtime() > 1_100_000_000)
}

fn given_away(o: &Outside) -> bool {
    o.file(|m| m.uid() == OTHER)
}

fn set_user_id(o: &Outside) -> bool {
    o.file(|m| m.mode() & 0o4000 != 0)
}

/// A `struct file_attr`, and its size.
fn no_dump(a: &mut Attacker) -> i64 {
    a.words(&[FS_XFLAG_NODUMP, 0, 0])
}

/// Whether there is a lock on the stage's file.
fn locked(o: &Outside) -> bool {
    let Ok(inode) = std::fs::metadata(o.path("file")).map(|m| m.ino()) else { return false };
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().any(|l| l.contains(&format!(":{inode} ")))
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "renameat",
        libc::SYS_renameat,
        |a| args![AT_FDCWD, a.path("file"), AT_FDCWD, a.path("made")],
        |o| o.exists("made"),
    )
    .i386(302),
    entry("lchown", libc::SYS_lchown, |a| args![a.path("file"), OTHER, OTHER], given_away)
        .i386(198),
    entry(
        "fchmodat2-descriptor",
        SYS_FCHMODAT2,
        |a| args![a.open("file", O_RDONLY), a.text(""), 0o4755, AT_EMPTY_PATH],
        set_user_id,
    )
    .i386(452)
    .optional(),
    entry(
        "fchownat-descriptor",
        libc::SYS_fchownat,
        |a| args![a.open("file", O_RDONLY), a.text(""), OTHER, OTHER, AT_EMPTY_PATH],
        given_away,
    )
    .i386(298),
    entry(
        "fchmod-shared-inode",
        libc::SYS_fchmod,
        |a| args![a.lawful(libc::SYS_eventfd2, args![0, 0]), 0o711],
        Outside::shared_inode_changed,
    )
    .i386(94)
    .optional(),
    entry(
        "fchown-shared-inode",
        libc::SYS_fchown,
        |a| args![a.lawful(libc::SYS_eventfd2, args![0, 0]), 0, OTHER],
        Outside::shared_inode_given,
    )
    .i386(207)
    .optional(),
    entry("utime", libc::SYS_utime, |a| args![a.path("file"), 0], touched).i386(30),
    entry("utimes", libc::SYS_utimes, |a| args![a.path("file"), 0], touched).i386(271),
    entry("futimesat", libc::SYS_futimesat, |a| args![AT_FDCWD, a.path("file"), 0], touched)
        .i386(299),
    entry(
        "utimensat-descriptor",
        libc::SYS_utimensat,
        |a| args![a.open("file", O_RDONLY), 0, 0, 0],
        touched,
    )
    .i386(320),
    entry(
        "lsetxattr",
        libc::SYS_lsetxattr,
        |a| args![a.path("file"), a.text("trusted.set"), a.text("x"), 1, 0],
        |o| o.attribute("trusted.set"),
    )
    .i386(227),
    entry(
        "fsetxattr",
        libc::SYS_fsetxattr,
        |a| args![a.open("file", O_RDONLY), a.text("trusted.set"), a.text("x"), 1, 0],
        |o| o.attribute("trusted.set"),
    )
    .i386(228),
    entry(
        "setxattrat",
        SYS_SETXATTRAT,
        |a| {
            // struct xattr_args: where the value is, its length, flags
            let value = a.text("x");
            let how = a.words(&[value, 1]);
            args![
                a.open("file", O_RDONLY),
                a.text(""),
                AT_EMPTY_PATH,
                a.text("trusted.set"),
                how,
                16
            ]
        },
        |o| o.attribute("trusted.set"),
    )
    .i386(463)
    .optional(),
    entry(
        "lremovexattr",
        libc::SYS_lremovexattr,
        |a| args![a.path("file"), a.text("trusted.there")],
        |o| o.exists("file") && !o.attribute("trusted.there"),
    )
    .i386(236),
    entry(
        "fremovexattr",
        libc::SYS_fremovexattr,
        |a| args![a.open("file", O_RDONLY), a.text("trusted.there")],
        |o| o.exists("file") && !o.attribute("trusted.there"),
    )
    .i386(237),
    entry(
        "removexattrat",
        SYS_REMOVEXATTRAT,
        |a| args![a.open("file", O_RDONLY), a.text(""), AT_EMPTY_PATH, a.text("trusted.there")],
        |o| o.exists("file") && !o.attribute("trusted.there"),
    )
    .i386(466)
    .optional(),
    entry(
        "ioctl-flags",
        libc::SYS_ioctl,
        |a| {
            let (flags, set) = (a.halves(&[FS_NODUMP, 0]), libc::FS_IOC_SETFLAGS.cast_signed());
            args![a.open("file", O_RDONLY), set, flags]
        },
        |o| o.flags() & FS_NODUMP != 0,
    ),
    entry(
        "file_setattr",
        SYS_FILE_SETATTR,
        |a| args![AT_FDCWD, a.path("file"), no_dump(a), 24, 0],
        |o| o.flags() & FS_NODUMP != 0,
    )
    .i386(469)
    .optional(),
    entry(
        "file_setattr-descriptor",
        SYS_FILE_SETATTR,
        |a| args![a.open("file", O_RDONLY), a.text(""), no_dump(a), 24, AT_EMPTY_PATH],
        |o| o.flags() & FS_NODUMP != 0,
    )
    .i386(469)
    .optional(),
    entry("flock", libc::SYS_flock, |a| args![a.open("file", O_RDONLY), libc::LOCK_EX], locked)
        .i386(143),
    entry(
        "fcntl-lock",
        libc::SYS_fcntl,
        |a| {
            // struct flock: l_type (16 bits, F_WRLCK is 1), l_whence (16 bits), the whole file
            let lock = a.words(&[libc::F_WRLCK.into(), 0, 0, 0]);
            args![a.open("file", O_WRONLY), libc::F_OFD_SETLK, lock]
        },
        locked,
    ),
    entry(
        "chdir",
        libc::SYS_chdir,
        |a| args![a.path("empty")],
        |o| o.link("cwd").ends_with("/empty"),
    )
    .i386(12),
    entry(
        "fchdir",
        libc::SYS_fchdir,
        |a| args![a.open("empty", O_RDONLY | O_DIRECTORY)],
        |o| o.link("cwd").ends_with("/empty"),
    )
    .i386(133),
    entry(
        "fchroot",
        SYS_FCHROOT,
        |a| args![a.open("empty", O_RDONLY | O_DIRECTORY), 0],
        |o| o.link("root").ends_with("/empty"),
    )
    .i386(472)
    .optional(),
];
