//! A map whose entries count against no memory limit. The kernel charges the storage of a watched
//! thread to the cgroup of the process that has created the map (`bpf_map_save_memcg`,
//! kernel/bpf/syscall.c), and a watched program makes as many threads as it likes: with a limit
//! there, it could have the enforcer killed for want of memory. So a child process in the highest
//! cgroup creates the map.

use crate::kernel::bpf::objects::owned;
use libbpf_rs::libbpf_sys::{
    bpf_btf_load, bpf_map_create, bpf_map_create_opts, btf__add_int, btf__add_struct, btf__free,
    btf__new_empty, btf__raw_data, BPF_F_NO_PREALLOC, BPF_MAP_TYPE_TASK_STORAGE, BTF_INT_SIGNED,
};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    recvmsg, sendmsg, socketpair, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags,
    SockFlag, SockType,
};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult, Pid};
use std::ffi::{CStr, CString};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;

/// The highest cgroup of the hierarchy that limits memory: its list of processes. `None` if this
/// process does not see it, as in a container.
fn highest_cgroup() -> Option<PathBuf> {
    // Only the highest cgroup has the first file (version 1), and only the others have the second
    // one (version 2).
    let first = Path::new("/sys/fs/cgroup/memory");
    let second = Path::new("/sys/fs/cgroup");
    let highest = if first.join("release_agent").exists() {
        first
    } else if second.join("cgroup.controllers").exists() && !second.join("cgroup.events").exists() {
        second
    } else {
        return None;
    };
    Some(highest.join("cgroup.procs"))
}

/// What version 1 of cgroups has for no limit is more than this. Version 2 has the word `max`.
const NO_LIMIT: u64 = 1 << 60;

/// The lowest memory limit that this process is under, in bytes, as far as it sees; `None` if there
/// is none.
pub(crate) fn memory_limit() -> Option<u64> {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = cgroups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        let limit = |directory: &Path| {
            let text = std::fs::read_to_string(directory.join(file)).ok()?;
            text.trim().parse::<u64>().ok().filter(|&limit| limit < NO_LIMIT)
        };
        let own = Path::new(root).join(path.trim_start_matches('/'));
        own.ancestors().take_while(|one| one.starts_with(root)).filter_map(limit).min()
    });
    limits.min()
}

/// A map of task storage that is being created. The kernel takes some ten milliseconds to move a
/// process into another cgroup, in which the caller may do something else.
pub(crate) struct Creating {
    child: Pid,
    socket: OwnedFd,
}

impl Creating {
    /// Begins to create a map whose entries, of this size, count against no memory limit.
    ///
    /// # Errors
    /// The highest cgroup is not seen, or no process can be created.
    pub(crate) fn begin(name: &CStr, value_size: usize) -> io::Result<Self> {
        let processes = highest_cgroup().ok_or_else(|| {
            io::Error::other("the highest cgroup of this machine is not seen from here")
        })?;
        let processes = CString::new(processes.as_os_str().as_bytes())?;
        let value_size = u32::try_from(value_size).map_err(io::Error::other)?;
        let types = Types::load(value_size)?;
        let options = bpf_map_create_opts {
            sz: size_of::<bpf_map_create_opts>() as u64,
            map_flags: BPF_F_NO_PREALLOC,
            btf_fd: u32::try_from(types.descriptor.as_raw_fd()).map_err(io::Error::other)?,
            btf_key_type_id: types.key,
            btf_value_type_id: types.value,
            ..Default::default()
        };
        let (socket, theirs) =
            socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)?;
        // SAFETY: up to its `_exit` the child makes only system calls, and allocates and frees
        // nothing.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Creating { child, socket }),
            ForkResult::Child => {
                let status = match create(&processes, name, value_size, &options) {
                    Ok(map) => send(theirs.as_raw_fd(), map),
                    Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
                };
                // SAFETY: the child ends without the exit handlers, which are the parent's to run.
                unsafe { libc::_exit(status) }
            }
        }
    }

    /// The map.
    ///
    /// # Errors
    /// The child may not move into the highest cgroup, or may not create a map.
    pub(crate) fn finish(self) -> io::Result<OwnedFd> {
        let status = loop {
            match waitpid(self.child, None) {
                Err(Errno::EINTR) => {}
                status => break status?,
            }
        };
        match status {
            WaitStatus::Exited(_, 0) => receive(self.socket.as_raw_fd())
                .ok_or_else(|| io::Error::other("the process that creates the map sent none")),
            WaitStatus::Exited(_, error) => Err(io::Error::from_raw_os_error(error)),
            _ => Err(io::Error::other("the process that creates the map was killed")),
        }
    }
}

/// The size of a map's key, which is an `int`.
const KEY_SIZE: u32 = 4;

/// The types of a map's key and value, as the kernel has them.
struct Types {
    descriptor: OwnedFd,
    key: u32,
    value: u32,
}

impl Types {
    /// Tells the kernel the types: an integer, and a structure of this size. The programs do not
    /// need to know more of it.
    fn load(value_size: u32) -> io::Result<Self> {
        // SAFETY: the calls get the object that the first one has made, C strings, and a buffer with
        // its length, which lives until the object is freed.
        unsafe {
            let btf = btf__new_empty();
            if btf.is_null() {
                return Err(io::Error::last_os_error());
            }
            let key = btf__add_int(
                btf,
                c"int".as_ptr(),
                u64::from(KEY_SIZE),
                BTF_INT_SIGNED.cast_signed(),
            );
            let value = btf__add_struct(btf, c"sysfsm_thread".as_ptr(), value_size);
            let mut length = 0;
            let raw = btf__raw_data(btf, &raw mut length);
            let loaded = if key > 0 && value > 0 && !raw.is_null() {
                owned(bpf_btf_load(raw, u64::from(length), ptr::null_mut()))
            } else {
                Err(io::Error::other("the types of the map cannot be written"))
            };
            btf__free(btf);
            let id = |id: i32| u32::try_from(id).map_err(io::Error::other);
            Ok(Types { descriptor: loaded?, key: id(key)?, value: id(value)? })
        }
    }
}

/// Moves this process into the highest cgroup, and creates the map there.
fn create(
    processes: &CStr,
    name: &CStr,
    value_size: u32,
    options: &bpf_map_create_opts,
) -> io::Result<RawFd> {
    let this = b"0";
    // SAFETY: a C string, a buffer with its length, and structures that live until the calls end.
    unsafe {
        let file = libc::open(processes.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 || libc::write(file, this.as_ptr().cast(), this.len()) < 0 {
            return Err(io::Error::last_os_error());
        }
        let map = bpf_map_create(
            BPF_MAP_TYPE_TASK_STORAGE,
            name.as_ptr(),
            KEY_SIZE,
            value_size,
            0,
            options,
        );
        if map < 0 {
            Err(io::Error::from_raw_os_error(-map))
        } else {
            Ok(map)
        }
    }
}

/// Sends a descriptor. Returns the status that this process ends with.
fn send(socket: RawFd, map: RawFd) -> i32 {
    let byte = [IoSlice::new(b"m")];
    let descriptors = [map];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    match sendmsg::<()>(socket, &byte, &rights, MsgFlags::empty(), None) {
        Ok(_) => 0,
        Err(error) => error as i32,
    }
}

/// Receives a descriptor; `None` if the other side has ended without one.
fn receive(socket: RawFd) -> Option<OwnedFd> {
    let mut byte = [0];
    let mut buffer = [IoSliceMut::new(&mut byte)];
    let mut space = cmsg_space!(RawFd);
    let message = recvmsg::<()>(
        socket,
        &mut buffer,
        Some(&mut space),
        MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT,
    )
    .ok()?;
    let mut all = message.cmsgs().ok()?;
    let descriptor = all.find_map(|one| match one {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
        _ => None,
    })?;
    // SAFETY: the kernel has just opened the descriptor for this process.
    Some(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
