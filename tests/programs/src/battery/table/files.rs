//! Names, files and their attributes.

use super::super::outside::Outside;
use super::{entry, Entry, AT_FDCWD};
use libc::{O_CREAT, O_EXCL, O_RDONLY, O_TRUNC, O_WRONLY};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

/// Of `nobody`, or of anybody else but root.
const OTHER: u32 = 1000;

pub const ENTRIES: &[Entry] = &[
    entry("unlink", libc::SYS_unlink, |a| args![a.path("file")], |o| !o.exists("file")).i386(10),
    entry(
        "unlinkat",
        libc::SYS_unlinkat,
        |a| args![AT_FDCWD, a.path("empty"), libc::AT_REMOVEDIR],
        |o| !o.exists("empty"),
    )
    .i386(301),
    entry(
        "rename",
        libc::SYS_rename,
        |a| args![a.path("file"), a.path("made")],
        |o| o.exists("made"),
    )
    .i386(38),
    entry(
        "renameat2",
        libc::SYS_renameat2,
        |a| args![AT_FDCWD, a.path("text"), AT_FDCWD, a.path("file"), libc::RENAME_EXCHANGE],
        Outside::rewritten,
    )
    .i386(353),
    entry("link", libc::SYS_link, |a| args![a.path("file"), a.path("made")], |o| o.exists("made"))
        .i386(9),
    entry(
        "linkat",
        libc::SYS_linkat,
        |a| args![AT_FDCWD, a.path("file"), AT_FDCWD, a.path("made"), 0],
        |o| o.file(|m| m.nlink() == 2),
    )
    .i386(303),
    entry(
        "symlink",
        libc::SYS_symlink,
        |a| args![a.text("file"), a.path("made")],
        |o| o.exists("made"),
    )
    .i386(83),
    entry(
        "symlinkat",
        libc::SYS_symlinkat,
        |a| args![a.text("file"), AT_FDCWD, a.path("made")],
        |o| o.exists("made"),
    )
    .i386(304),
    entry("mkdir", libc::SYS_mkdir, |a| args![a.path("made"), 0o700], |o| o.exists("made"))
        .i386(39),
    entry(
        "mkdirat",
        libc::SYS_mkdirat,
        |a| args![AT_FDCWD, a.path("made"), 0o700],
        |o| o.exists("made"),
    )
    .i386(296),
    entry("rmdir", libc::SYS_rmdir, |a| args![a.path("empty")], |o| !o.exists("empty")).i386(40),
    entry(
        "mknod",
        libc::SYS_mknod,
        |a| args![a.path("made"), libc::S_IFIFO | 0o600],
        |o| o.exists("made"),
    )
    .i386(14),
    entry(
        "mknodat-device",
        libc::SYS_mknodat,
        // The null device's number.
        |a| args![AT_FDCWD, a.path("made"), libc::S_IFCHR | 0o600, 0x103],
        |o| std::fs::metadata(o.path("made")).is_ok_and(|m| m.file_type().is_char_device()),
    )
    .i386(297),
    entry(
        "chmod",
        libc::SYS_chmod,
        |a| args![a.path("file"), 0o4755],
        |o| o.file(|m| m.mode() & 0o4000 != 0),
    )
    .i386(15),
    entry(
        "fchmod",
        libc::SYS_fchmod,
        |a| args![a.open("file", O_RDONLY), 0o4755],
        |o| o.file(|m| m.mode() & 0o4000 != 0),
    )
    .i386(94),
    entry(
        "fchmodat",
        libc::SYS_fchmodat,
        |a| args![AT_FDCWD, a.path("file"), 0o4755],
        |o| o.file(|m| m.mode() & 0o4000 != 0),
    )
    .i386(306),
    entry(
        "chown",
        libc::SYS_chown,
        |a| args![a.path("file"), OTHER, OTHER],
        |o| o.file(|m| m.uid() == OTHER),
    )
    .i386(212),
    entry(
        "fchown",
        libc::SYS_fchown,
        |a| args![a.open("file", O_RDONLY), OTHER, OTHER],
        |o| o.file(|m| m.uid() == OTHER),
    )
    .i386(207),
    entry(
        "fchownat",
        libc::SYS_fchownat,
        |a| args![AT_FDCWD, a.path("file"), OTHER, OTHER, 0],
        |o| o.file(|m| m.uid() == OTHER),
    )
    .i386(298),
    entry(
        "setxattr",
        libc::SYS_setxattr,
        |a| args![a.path("file"), a.text("trusted.set"), a.text("x"), 1, 0],
        |o| o.attribute("trusted.set"),
    )
    .i386(226),
    entry(
        "removexattr",
        libc::SYS_removexattr,
        |a| args![a.path("file"), a.text("trusted.there")],
        |o| o.exists("file") && !o.attribute("trusted.there"),
    )
    .i386(235),
    entry(
        "utimensat",
        libc::SYS_utimensat,
        |a| args![AT_FDCWD, a.path("file"), 0, 0],
        // The stage's file is from the year 2001.
        |o| o.file(|m| m.mtime() > 1_100_000_000),
    )
    .i386(320),
    entry(
        "truncate",
        libc::SYS_truncate,
        |a| args![a.path("file"), 2],
        |o| o.file(|m| m.len() == 2),
    )
    .i386(92),
    entry(
        "ftruncate",
        libc::SYS_ftruncate,
        |a| args![a.open("file", O_WRONLY), 2],
        |o| o.file(|m| m.len() == 2),
    )
    .i386(93),
    // To open it is an effect when something can be done with what was opened.
    entry("open-write", libc::SYS_open, |a| args![a.path("file"), O_WRONLY, 0], Outside::rewritten)
        .i386(5)
        .follow(|a, file| {
            if file >= 0 {
                let text = a.text("opened");
                a.lawful(libc::SYS_write, args![file, text, 6]);
            }
        }),
    entry(
        "open-create",
        libc::SYS_open,
        |a| args![a.path("made"), O_CREAT | O_EXCL | O_WRONLY, 0o600],
        |o| o.exists("made"),
    )
    .i386(5),
    entry(
        "open-truncate",
        libc::SYS_open,
        |a| args![a.path("file"), O_TRUNC | O_WRONLY, 0],
        |o| o.file(|m| m.len() == 0),
    )
    .i386(5),
    entry(
        "openat-create",
        libc::SYS_openat,
        |a| args![AT_FDCWD, a.path("made"), O_CREAT | O_WRONLY, 0o600],
        |o| o.exists("made"),
    )
    .i386(295),
    entry(
        "openat-tmpfile",
        libc::SYS_openat,
        |a| args![AT_FDCWD, a.path("empty"), libc::O_TMPFILE | O_WRONLY, 0o600],
        |o| o.holds("/empty/#"),
    ),
    entry(
        "openat2-create",
        libc::SYS_openat2,
        |a| {
            // struct open_how: flags, mode, resolve
            let how = a.words(&[(O_CREAT | O_WRONLY).into(), 0o600, 0]);
            args![AT_FDCWD, a.path("made"), how, 24]
        },
        |o| o.exists("made"),
    )
    .i386(437)
    .optional(),
    entry("creat", libc::SYS_creat, |a| args![a.path("file"), 0o600], |o| o.file(|m| m.len() == 0))
        .i386(8),
];
