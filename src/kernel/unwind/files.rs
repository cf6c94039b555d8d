//! Opens the files that are mapped into a watched process, as root and without trust: a path may
//! be another file's by now, and whoever chose it wants to be followed, or waited for.
//!
//! - No link is followed, but those of `/proc` that lead to a process's own file or root.
//! - Nothing of the file system is asked for that the kernel does not have in memory already.
//! - Nothing but a regular file of a local file system is opened, and it is the file that is mapped,
//!   as far as its inode number and its device tell.

use crate::kernel::events::stack::Mapping;
use nix::errno::Errno;
use nix::fcntl::{open, openat2, OFlag, OpenHow, ResolveFlag, AT_FDCWD};
use nix::libc;
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::Read as _;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

/// Files with more bytes than this are not read.
const LARGEST: u64 = 512 << 20;
/// How much of a table of mounts is read.
const TABLE: u64 = 4 << 20;
/// File systems that are this machine's own, so that reading ends in bounded time.
const LOCAL: [&str; 19] = [
    "bcachefs", "btrfs", "devtmpfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660",
    "jfs", "overlay", "ramfs", "rootfs", "squashfs", "tmpfs", "vfat", "xfs", "zfs",
];
/// How often a look-up is tried that something else was in the way of.
const TRIES: usize = 5;
/// `RESOLVE_CACHED` of linux/openat2.h, since Linux 5.12: a look-up that would have to ask the file
/// system fails (EAGAIN). A mapped file and the directories above it are in memory.
const RESOLVE_CACHED: u64 = 0x20;

/// Opens the file of a mapping of a process; its size besides.
pub(super) fn open_mapped(pid: u32, mapping: &Mapping) -> Option<(OwnedFd, u64)> {
    let (start, end) = (mapping.addresses.start, mapping.addresses.end);
    // The file itself, while the process lives. It takes CAP_CHECKPOINT_RESTORE.
    let itself = || follow(&format!("/proc/{pid}/map_files/{start:x}-{end:x}"), OFlag::empty());
    let here = || beneath(AT_FDCWD, &mapping.path, ResolveFlag::empty());
    let there = || {
        let root = follow(&format!("/proc/{pid}/root"), OFlag::O_DIRECTORY)?;
        beneath(root, mapping.path.trim_start_matches('/'), ResolveFlag::RESOLVE_IN_ROOT)
    };
    let ways: [&dyn Fn() -> Option<OwnedFd>; 3] = [&itself, &here, &there];
    ways.into_iter().find_map(|way| {
        let file = way()?;
        let size = size_if_mapped(&file, pid, mapping)?;
        Some((open_again(&file)?, size))
    })
}

/// Opens what one link of `/proc` leads to. `O_PATH` asks no file system.
fn follow(link: &str, more: OFlag) -> Option<OwnedFd> {
    open(link, OFlag::O_PATH | OFlag::O_CLOEXEC | more, Mode::empty()).ok()
}

/// Opens a path without following any link, by what is in memory.
fn beneath(directory: impl AsFd, path: &str, more: ResolveFlag) -> Option<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS | more;
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how = |resolve| OpenHow::new().flags(flags).resolve(resolve);
    let cached = resolve | ResolveFlag::from_bits_retain(RESOLVE_CACHED);
    for _ in 0..TRIES {
        match openat2(&directory, path, how(cached)) {
            Ok(file) => return Some(file),
            Err(Errno::EAGAIN) => {}
            // Before Linux 5.12.
            Err(Errno::EINVAL) => return openat2(&directory, path, how(resolve)).ok(),
            Err(_) => return None,
        }
    }
    None
}

/// The size of a file that was opened by `O_PATH`, if it is the one that is mapped, and one to read.
fn size_if_mapped(file: &OwnedFd, pid: u32, mapping: &Mapping) -> Option<u64> {
    let wanted = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;
    // What is in memory: a file system over the network, or of a user's own, is not asked.
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: the kernel writes the struct, for which zeros are values.
    let found = unsafe {
        let mut found: libc::statx = zeroed();
        let done = libc::statx(file.as_raw_fd(), c"".as_ptr(), flags, wanted, &raw mut found);
        (done == 0).then_some(found)?
    };
    let regular = u32::from(found.stx_mode) & libc::S_IFMT == libc::S_IFREG;
    if !regular || found.stx_ino != mapping.inode || found.stx_size > LARGEST {
        return None;
    }
    let mount = Mount::of(found.stx_mnt_id, pid)?;
    // Where files lie over each other, a mapping may show the lower one's device.
    let same_device = mount.device == mapping.device || mount.kind == "overlay";
    (same_device && LOCAL.contains(&mount.kind.as_str())).then_some(found.stx_size)
}

/// Opens for reading what `O_PATH` has opened: a regular file. It does not wait for a lease.
fn open_again(file: &OwnedFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    open(Path::new(&path), flags, Mode::empty()).ok()
}

/// A mounted file system.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// As `/proc/PID/maps` writes it.
    device: String,
    /// The kind of file system.
    kind: String,
}

impl Mount {
    /// The mount with an id: one that this process sees, or the one whose file is mapped.
    fn of(id: u64, pid: u32) -> Option<Self> {
        ["self".to_string(), pid.to_string()].iter().find_map(|process| {
            let mut table = String::new();
            let file = File::open(format!("/proc/{process}/mountinfo")).ok()?;
            // A path may be no UTF-8; what was read before it counts.
            drop(file.take(TABLE).read_to_string(&mut table));
            table.lines().find_map(|line| Mount::parse(line, id))
        })
    }

    /// Parses a line, if it is that of the mount with this id (proc(5)):
    /// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`
    fn parse(line: &str, id: u64) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut fields = before.split(' ');
        (fields.next()?.parse() == Ok(id)).then_some(())?;
        let (major, minor) = fields.nth(1)?.split_once(':')?;
        let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
        let device = format!("{major:02x}:{minor:02x}");
        Some(Mount { device, kind: after.split(' ').next()?.into() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use nix::sys::stat::stat;
    use nix::unistd::mkfifo;
    use std::fs;
    use std::os::unix::fs::{symlink, MetadataExt as _};
    use tempfile::TempDir;

    /// What `/proc/PID/maps` would say of a file.
    fn mapping(path: &Path) -> Mapping {
        let found = stat(path).unwrap();
        let (major, minor) = (libc::major(found.st_dev), libc::minor(found.st_dev));
        Mapping {
            addresses: 0..1,
            offset: 0,
            device: format!("{major:02x}:{minor:02x}"),
            inode: fs::metadata(path).unwrap().ino(),
            path: path.to_str().unwrap().into(),
        }
    }

    fn opens(mapping: &Mapping) -> Option<u64> {
        open_mapped(std::process::id(), mapping).map(|(_, size)| size)
    }

    #[test]
    fn the_file_is_opened_and_nothing_else() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "data").unwrap();
        let good = mapping(&file);
        assert_eq!(opens(&good), Some(4));
        assert_eq!(opens(&Mapping { inode: good.inode + 1, ..good.clone() }), None);
        assert_eq!(opens(&Mapping { device: "ff:ff".into(), ..good.clone() }), None);
        assert_eq!(opens(&Mapping { path: format!("{} (deleted)", good.path), ..good }), None);
    }

    #[test]
    fn nothing_is_followed_and_nothing_is_waited_for() {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("real")).unwrap();
        fs::write(path("real/file"), "data").unwrap();
        symlink(path("real/file"), path("link")).unwrap();
        symlink(path("real"), path("way")).unwrap();
        mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        assert_eq!(opens(&mapping(&path("real/file"))), Some(4));
        for wrong in ["link", "way/file", "fifo", "real"] {
            assert_eq!(opens(&mapping(&path(wrong))), None, "{wrong}");
        }
        assert_eq!(opens(&mapping(Path::new("/dev/null"))), None);
    }

    #[test]
    fn a_mount_is_found_by_its_number() {
        let line = "36 35 254:16 / /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw";
        let mount = Mount::parse(line, 36).unwrap();
        assert_eq!((mount.device.as_str(), mount.kind.as_str()), ("fe:10", "ext3"));
        assert_eq!(Mount::parse(line, 35), None);
    }
}
