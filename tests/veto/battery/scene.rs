//! Lays out what is attacked, and starts who attacks it.

use nix::sys::stat::Mode;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use sysfsm_fixtures::battery::outside::{shared_mode, wakes, wall, Net, Outside};
use sysfsm_fixtures::battery::stage::{Stage, LISTENER, PAIR};
use sysfsm_fixtures::battery::table::Attack;
use sysfsm_testing::fixture;
use sysfsm_testing::lab::{Lab, Running};

/// 2001-09-09.
const LONG_AGO: Duration = Duration::from_secs(1_000_000_000);

const SCRIPT: &str = "#!/bin/sh
: >\"${0%/*}/executed\"
echo RESULT 0
read -r line
exit 0
";

const MODPROBE: &str = "#!/bin/sh
: >\"${0%/*}/modprobed\"
";

/// Keys of objects, one an attack.
static KEYS: AtomicI32 = AtomicI32::new(0x0ba7_7e00);

/// What the attacker may talk to.
pub fn net() -> Rc<Net> {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let pair = UnixStream::pair().unwrap();
    tcp.set_nonblocking(true).unwrap();
    udp.set_nonblocking(true).unwrap();
    pair.0.set_nonblocking(true).unwrap();
    Rc::new(Net { tcp, udp, pair })
}

/// Starts the attacker.
pub fn attacker(lab: &Lab, binary: &Path, net: &Net) -> Running {
    let mut command = Command::new(binary);
    let inherited = [(net.pair.1.as_raw_fd(), PAIR), (net.tcp.as_raw_fd(), LISTENER)];
    // SAFETY: dup2 may be called between fork and exec, and replaces nothing: the numbers are high.
    unsafe {
        command.pre_exec(move || {
            for (from, to) in inherited {
                if libc::dup2(from, to) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    lab.start(&mut command)
}

/// A crowd that makes the call of an attack all the time. It is watched as the attacker is, and does
/// nothing unlawful.
pub fn crowd(lab: &Lab, binary: &Path, attack: &Attack) -> Running {
    let mut crowd = lab.start(Command::new(binary).args(["crowd", &attack.number().to_string()]));
    assert_eq!(crowd.said(|said| said == "ready\n"), "ready\n", "the crowd is at work");
    crowd
}

/// The helper, and another when it was harmed.
#[derive(Default)]
pub struct Helpers(Option<Running>);

impl Helpers {
    /// One that is as it should be.
    pub fn one(&mut self, lab: &Lab) -> &Running {
        self.0.get_or_insert_with(|| {
            // The program as it was built: another file than the attacker, so it is never watched.
            let built = fixture("battery");
            let mut helper = lab.start(Command::new(built).arg("helper"));
            assert_eq!(helper.said(|said| said == "ready\n"), "ready\n", "the helper is ready");
            helper
        })
    }

    /// Makes undone what an attack did.
    pub fn after(&mut self, attack: &Attack, outside: &Outside) {
        outside.restore();
        if attack.harms() {
            self.0 = None;
        }
    }
}

/// A fresh stage, looked at from outside.
pub fn set(lab: &Lab, net: &Rc<Net>, helper: &Running, attacker: &Running) -> Outside {
    let dir = lab.fresh("stage");
    for directory in ["", "empty", "mnt", "mounted", "new", "new/old"] {
        fs::create_dir(dir.join(directory)).unwrap();
    }
    fs::write(dir.join("text"), "other!\n").unwrap();
    for (script, text) in [("script", SCRIPT), ("modprobe", MODPROBE)] {
        fs::write(dir.join(script), text).unwrap();
        fs::set_permissions(dir.join(script), Permissions::from_mode(0o755)).unwrap();
    }
    file(&dir.join("file"));
    let pipe = dir.join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    // Both ends, so that it is open, and open to write to, whatever the attacker does.
    let pipe = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(pipe)
        .unwrap();
    let listener = UnixListener::bind(dir.join("listener")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // What the attack before this one has left.
    while net.tcp.accept().is_ok() {}
    while net.udp.recv(&mut [0; 64]).is_ok() {}
    let stage = Stage {
        dir: dir.to_str().unwrap().to_string(),
        helper: helper.pid().as_raw(),
        tcp: net.tcp.local_addr().unwrap().port(),
        udp: net.udp.local_addr().unwrap().port(),
        free,
        key: KEYS.fetch_add(1, Ordering::Relaxed),
    };
    let outside = Outside {
        net: net.clone(),
        pipe,
        listener,
        attacker: attacker.pid().as_raw().cast_unsigned(),
        result: None,
        wall: wall(),
        wakes: wakes(stage.helper),
        mode: shared_mode(),
        stage,
    };
    outside.restore();
    fs::write("/proc/sys/kernel/modprobe", outside.stage.path("modprobe")).unwrap();
    outside
}

/// The file that most attacks are about.
fn file(path: &Path) {
    fs::write(path, "lawful\n").unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let bytes = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: C strings, and one byte.
    let set = unsafe {
        libc::setxattr(bytes.as_ptr(), c"trusted.there".as_ptr(), c"x".as_ptr().cast(), 1, 0)
    };
    assert_eq!(set, 0, "{}: {}", path.display(), io::Error::last_os_error());
    let times =
        FileTimes::new().set_modified(UNIX_EPOCH + LONG_AGO).set_accessed(UNIX_EPOCH + LONG_AGO);
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}
