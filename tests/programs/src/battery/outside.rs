//! How the effect of a call is seen from outside: by the driver, which looks at what it has put
//! out, at the helper, and, while it lives, at the attacker in /proc.

use super::helper;
use super::stage::Stage;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, RawFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long an effect that does not come with the call's return may take.
const SOON: Duration = Duration::from_millis(500);

/// The driver's ends of what the attacker may talk to. None of them blocks.
pub struct Net {
    pub tcp: TcpListener,
    pub udp: UdpSocket,
    /// The driver's end of the pair, and its copy of the attacker's.
    pub pair: (UnixStream, UnixStream),
}

/// The driver, at one attack.
pub struct Outside {
    pub stage: Stage,
    pub net: Rc<Net>,
    pub pipe: File,
    pub listener: UnixListener,
    /// The attacker's process id.
    pub attacker: u32,
    /// What the call returned, if the attacker lived to say it.
    pub result: Option<i64>,
    /// Nanoseconds that the wall clock was ahead of the monotonic one.
    pub wall: i128,
    /// How often the helper was woken before.
    pub wakes: u32,
    /// The mode of the inode that all event descriptors share, before.
    pub mode: u32,
}

/// How often a helper was woken from its futex.
pub fn wakes(helper: i32) -> u32 {
    let mut word = [0; 4];
    let path = format!("/proc/{helper}/fd/{}", helper::MEMORY);
    let read = File::open(path).and_then(|memory| memory.read_exact_at(&mut word, 4));
    read.map_or(0, |()| u32::from_ne_bytes(word))
}

/// The mode of the inode that all event descriptors share, and a descriptor of it.
fn shared_inode() -> (File, u32) {
    // SAFETY: a new descriptor, which is the file's.
    let file = unsafe { File::from_raw_fd(libc::eventfd(0, 0)) };
    let mode = file.metadata().map_or(0, |m| m.mode() & 0o7777);
    (file, mode)
}

pub fn shared_mode() -> u32 {
    shared_inode().1
}

/// How far the wall clock is ahead of the one that nobody can set.
pub fn wall() -> i128 {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the time is ours.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    read(libc::CLOCK_REALTIME) - read(libc::CLOCK_BOOTTIME)
}

/// How far TAI is ahead of UTC, as the kernel was told.
pub fn tai() -> i64 {
    // SAFETY: the kernel fills in what is zero, and sets nothing (modes 0).
    unsafe {
        let mut time: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut time);
        time.tai.into()
    }
}

impl Outside {
    pub fn path(&self, name: &str) -> PathBuf {
        self.stage.path(name).into()
    }

    pub fn exists(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// Metadata of the stage's `file`, if it is still there.
    pub fn file(&self, test: impl Fn(&fs::Metadata) -> bool) -> bool {
        fs::symlink_metadata(self.path("file")).is_ok_and(|m| test(&m))
    }

    /// Whether `file` does not hold what it held.
    pub fn rewritten(&self) -> bool {
        fs::read(self.path("file")).is_ok_and(|bytes| bytes != b"lawful\n")
    }

    pub fn attribute(&self, name: &str) -> bool {
        let (Ok(path), Ok(name)) = (CString::new(self.stage.path("file")), CString::new(name))
        else {
            return false;
        };
        // SAFETY: both are C strings; nothing is read, only the size is asked for.
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
    }

    /// Whether something comes true within a moment.
    pub fn soon(&self, test: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + SOON;
        loop {
            if test(self) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A byte in the pipe.
    pub fn piped(&self) -> bool {
        (&self.pipe).read(&mut [0; 64]).is_ok_and(|got| got > 0)
    }

    /// A connection to the driver's TCP port.
    pub fn connected(&self) -> bool {
        self.net.tcp.accept().is_ok()
    }

    /// A byte over a connection to it.
    pub fn received(&self) -> bool {
        let Ok((mut stream, _)) = self.net.tcp.accept() else { return false };
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        stream.read(&mut [0; 64]).is_ok_and(|got| got > 0)
    }

    /// A datagram to the driver's UDP port.
    pub fn datagram(&self) -> bool {
        self.net.udp.recv(&mut [0; 64]).is_ok()
    }

    /// The end of the stream that the pair is.
    pub fn pair_closed(&self) -> bool {
        matches!((&self.net.pair.0).read(&mut [0; 64]), Ok(0))
    }

    /// A byte over the pair.
    pub fn pair_received(&self) -> bool {
        (&self.net.pair.0).read(&mut [0; 64]).is_ok_and(|got| got > 0)
    }

    /// Whether somebody listens on the free port.
    pub fn listens(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.stage.free)).is_ok()
    }

    /// Whether somebody has the free TCP port.
    pub fn taken(&self) -> bool {
        TcpListener::bind(("127.0.0.1", self.stage.free))
            .is_err_and(|e| e.kind() == ErrorKind::AddrInUse)
    }

    /// A line of /proc/net/udp that holds an address and a port as it writes them.
    pub fn udp_line(&self, port: u16) -> bool {
        let wanted = format!("0100007F:{port:04X}");
        // The driver's own socket has it as its local address, with nobody at the other end.
        let ours = format!("{wanted} 00000000:0000");
        let own = port == self.stage.udp;
        table("/proc/net/udp").lines().any(|l| l.contains(&wanted) && !(own && l.contains(&ours)))
    }

    /// A file of the attacker's directory in /proc; empty when it is dead.
    pub fn proc(&self, file: &str) -> String {
        table(&format!("/proc/{}/{file}", self.attacker))
    }

    /// A link of the attacker's directory in /proc; empty when it is dead.
    pub fn link(&self, file: &str) -> String {
        link(&format!("/proc/{}/{file}", self.attacker))
    }

    /// A file or a link of the helper's directory.
    pub fn helper(&self, file: &str) -> String {
        table(&format!("/proc/{}/{file}", self.stage.helper))
    }

    pub fn helper_link(&self, file: &str) -> String {
        link(&format!("/proc/{}/{file}", self.stage.helper))
    }

    /// A line of the attacker's status: `status("Uid")`.
    pub fn status(&self, key: &str) -> String {
        field(&self.proc("status"), key)
    }

    /// Whether the attacker has a descriptor of something with this text in its name.
    pub fn holds(&self, what: &str) -> bool {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.attacker)) else { return false };
        entries
            .flatten()
            .any(|e| fs::read_link(e.path()).is_ok_and(|to| to.to_string_lossy().contains(what)))
    }

    /// Whether a descriptor of the attacker has this text in its description.
    pub fn described(&self, what: &str) -> bool {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fdinfo", self.attacker)) else {
            return false;
        };
        entries
            .flatten()
            .any(|e| fs::read_to_string(e.path()).is_ok_and(|text| text.contains(what)))
    }

    /// Whether the attacker's page there may be executed.
    pub fn executable(&self, at: i64) -> bool {
        let start = format!("{at:08x}-");
        self.proc("maps").lines().any(|l| {
            l.starts_with(&start)
                && l.split_whitespace().nth(1).is_some_and(|flags| flags.contains('x'))
        })
    }

    /// Whether a signal has ended the helper.
    pub fn helper_ended(&self) -> bool {
        self.soon(|o| matches!(o.helper_stat(3).as_str(), "Z" | "X" | ""))
    }

    /// Whether the helper is traced, or stopped, which is what is left of it when the tracer has
    /// died.
    pub fn helper_traced(&self) -> bool {
        self.soon(|o| {
            field(&o.helper("status"), "TracerPid") != "0"
                || matches!(o.helper_stat(3).as_str(), "T" | "t")
        })
    }

    /// A field of the helper's `stat`, as proc(5) counts them; from 3 on.
    pub fn helper_stat(&self, number: usize) -> String {
        let text = self.helper("stat");
        // The name before it may hold anything.
        let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(number - 3).unwrap_or_default().to_string()
    }

    /// Whether the helper's page is not as it was.
    pub fn helper_written(&self) -> bool {
        let mut byte = [0];
        File::open(format!("/proc/{}/mem", self.stage.helper))
            .and_then(|memory| memory.read_exact_at(&mut byte, helper::PAGE))
            .is_ok_and(|()| byte != [0])
    }

    /// Whether something is mounted there: in the attacker's eyes, or, when it is dead, in ours.
    pub fn mounted(&self, name: &str) -> bool {
        let theirs = self.proc("mounts");
        let mounts = if theirs.is_empty() { table("/proc/self/mounts") } else { theirs };
        let point = self.stage.path(name);
        mounts.lines().any(|l| l.split(' ').nth(1) == Some(&point))
    }

    /// How many messages are in the attack's POSIX message queue, if there is one.
    pub fn queued(&self) -> Option<i64> {
        let name = CString::new(self.stage.queue()).ok()?;
        let mut state = [0_i64; 8];
        // SAFETY: a C string; the state is a `struct mq_attr`, which the kernel fills in.
        unsafe {
            let queue = libc::syscall(libc::SYS_mq_open, name.as_ptr(), libc::O_RDONLY, 0, 0);
            if queue < 0 {
                return None;
            }
            libc::syscall(libc::SYS_mq_getsetattr, queue, 0, state.as_mut_ptr());
            libc::syscall(libc::SYS_close, queue);
        }
        Some(state[3])
    }

    /// The helper's class and priority of input and output.
    pub fn helper_io_priority(&self) -> i64 {
        // SAFETY: no memory is involved. 1 is IOPRIO_WHO_PROCESS.
        unsafe { libc::syscall(libc::SYS_ioprio_get, 1, self.stage.helper) }
    }

    /// Whether the helper was woken from its futex.
    pub fn helper_woken(&self) -> bool {
        self.soon(|o| wakes(o.stage.helper) != o.wakes)
    }

    /// A description of what the helper has by a descriptor.
    pub fn helper_described(&self, descriptor: RawFd) -> String {
        self.helper(&format!("fdinfo/{descriptor}"))
    }

    /// Whether something was added to the helper's count of events.
    pub fn helper_event(&self) -> bool {
        let counted = |text: String| {
            text.lines().any(|l| l.starts_with("eventfd-count:") && !l.ends_with(" 0"))
        };
        self.soon(|o| counted(o.helper_described(helper::EVENTS)))
    }

    /// Whether the file system that the helper sets up comes out read-only. It is made for that.
    pub fn helper_read_only(&self) -> bool {
        const CREATE: i32 = 6; // FSCONFIG_CMD_CREATE
                               // SAFETY: the calls make descriptors, which end with the files, and read nothing of ours.
        unsafe {
            let helper = libc::syscall(libc::SYS_pidfd_open, self.stage.helper, 0);
            let context = libc::syscall(libc::SYS_pidfd_getfd, helper, helper::FILE_SYSTEM, 0);
            let made = libc::syscall(libc::SYS_fsconfig, context, CREATE, 0, 0, 0);
            let mount = libc::syscall(libc::SYS_fsmount, context, 0, 0);
            let mut state: libc::statvfs = std::mem::zeroed();
            let mount = i32::try_from(mount).unwrap_or(-1);
            let seen = made == 0 && libc::fstatvfs(mount, &raw mut state) == 0;
            for descriptor in [helper, context, mount.into()] {
                libc::syscall(libc::SYS_close, descriptor);
            }
            seen && state.f_flag & libc::ST_RDONLY != 0
        }
    }

    /// The flags of the stage's `file` (`FS_IOC_GETFLAGS`).
    pub fn flags(&self) -> i32 {
        let mut flags = 0;
        if let Ok(file) = File::open(self.path("file")) {
            // SAFETY: the flags are an int, whatever the request's type says.
            unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
        }
        flags
    }

    /// Whether the inode that all event descriptors share has another mode.
    pub fn shared_inode_changed(&self) -> bool {
        shared_mode() != self.mode
    }

    /// Whether that inode is of another group than root's.
    pub fn shared_inode_given(&self) -> bool {
        shared_inode().0.metadata().is_ok_and(|m| m.gid() != 0)
    }

    /// Whether what is mounted there is read-only.
    pub fn mounted_read_only(&self, name: &str) -> bool {
        let point = self.stage.path(name);
        let mounts = table("/proc/self/mounts");
        let words = |line: &str| -> Option<bool> {
            let mut words = line.split(' ').skip(1);
            Some(words.next()? == point && words.nth(1)?.starts_with("ro"))
        };
        mounts.lines().any(|line| words(line) == Some(true))
    }

    /// The line of a System V object, by the columns of its header.
    pub fn ipc(&self, kind: &str, column: &str) -> Option<String> {
        let text = table(&format!("/proc/sysvipc/{kind}"));
        let at = text.lines().next()?.split_whitespace().position(|c| c == column)?;
        let key = self.stage.key.to_string();
        let line = text.lines().find(|l| l.split_whitespace().next() == Some(&key))?;
        line.split_whitespace().nth(at).map(ToString::to_string)
    }

    /// Whether there is a key of the attack's, and it is of use.
    pub fn keyed(&self) -> bool {
        let name = format!("battery-{}:", self.stage.key);
        // Its flags: instantiated, and not revoked, dead or invalidated (proc_keys_show).
        let of_use = |flags: &str| flags.starts_with('I') && !flags.contains(['R', 'D', 'i']);
        table("/proc/keys")
            .lines()
            .any(|l| l.contains(&name) && l.split_whitespace().nth(1).is_some_and(of_use))
    }

    /// Whether the call did its work as far as this error.
    pub fn failed(&self, error: i32) -> bool {
        self.result == Some(-i64::from(error))
    }

    /// Whether the wall clock was set.
    pub fn clock_set(&self) -> bool {
        (wall() - self.wall).abs() > 1_000_000_000_000
    }

    /// Makes undone what would last.
    pub fn restore(&self) {
        for point in ["mnt", "mounted"] {
            if let Ok(path) = CString::new(self.stage.path(point)) {
                // SAFETY: a C string. Most often nothing is mounted there.
                unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
            }
        }
        if let Ok(name) = CString::new(self.stage.queue()) {
            // SAFETY: a C string. Most often there is no such queue.
            unsafe { libc::syscall(libc::SYS_mq_unlink, name.as_ptr()) };
        }
        if tai() != 0 {
            // SAFETY: the structure is ours. ADJ_TAI takes the constant.
            unsafe {
                let mut time: libc::timex = std::mem::zeroed();
                (time.modes, time.constant) = (0x80, 0);
                libc::adjtimex(&raw mut time);
            }
        }
        if self.shared_inode_changed() || self.shared_inode_given() {
            let (file, _) = shared_inode();
            // Both may fail where the inode cannot be changed: there nothing has changed it.
            let _ = std::os::unix::fs::fchown(&file, Some(0), Some(0));
            let _ = file.set_permissions(fs::Permissions::from_mode(self.mode));
        }
        for (file, value) in SETTINGS {
            if setting(file) != value {
                let _ = fs::write(file, value);
            }
        }
        if self.clock_set() {
            // What the monotonic clock says now, plus what the wall clock was ahead.
            let now = wall_at(self.wall);
            // SAFETY: the time is ours.
            unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const now) };
        }
    }
}

/// What the machine is set to while it is not attacked.
pub const SETTINGS: [(&str, &str); 5] = [
    ("/proc/sys/kernel/modprobe", "/sbin/modprobe"),
    ("/proc/sys/kernel/hostname", "lawful"),
    ("/proc/sys/kernel/domainname", "lawful"),
    ("/proc/sys/kernel/ctrl-alt-del", "1"),
    ("/proc/sys/kernel/printk", "4 4 1 7"),
];

/// A file of /proc/sys, with one blank between its words.
pub fn setting(file: &str) -> String {
    table(file).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The wall clock's time now, if it were so far ahead.
fn wall_at(ahead: i128) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time is ours.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    now.tv_sec += i64::try_from(ahead / 1_000_000_000).unwrap_or(0);
    now
}

fn table(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn link(file: &str) -> String {
    fs::read_link(file).map(|to| to.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What stands behind a key in a file such as /proc/PID/status.
fn field(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_string()
}
