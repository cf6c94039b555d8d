//! A watched program that turns on the one that watches it.
//!
//! usage: saboteur enforcer PID      what a process can be done to, tried on PID; one line an
//! attempt: NAME ERRNO
//!        saboteur input PID         has the kernel send SIGKILL to PID, as a signal of input
//!        saboteur objects           BPF objects that it can get hold of, by kind; one line a kind: NAME COUNT
//!        saboteur pins DIR          takes away what is pinned in DIR/1, and unmounts what DIR is in; one line an attempt
//!        saboteur write FILE TEXT   writes TEXT to FILE; the errno
//!        saboteur rewrite FILE...   writes to each FILE what is in it, or `x`; one line a file: FILE ERRNO
//!        saboteur inherited TEXT    writes TEXT to descriptor 3; the errno
//!        saboteur oom PID           has the kernel kill PID for want of memory
//!        saboteur kernel FILE       changes the running kernel, FILE being no module; one line an attempt: NAME ERRNO
//!        saboteur affinity          asks for its affinity, without end
//!        saboteur open FILE         opens FILE unlawfully, to empty it
//!        saboteur sibling FILE      one thread opens FILE unlawfully, to empty it; another writes to whatever
//!                                   descriptor that would give

#![allow(unsafe_code, clippy::print_stdout)]

use libc::{c_long, syscall};
use std::ffi::CString;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["enforcer", pid] => enforcer(pid.parse().map_err(io::Error::other)?),
        ["input", pid] => input(pid.parse().map_err(io::Error::other)?)?,
        ["objects"] => objects(),
        ["pins", directory] => pins(directory)?,
        ["write", file, text] => println!("{}", write(file, text)),
        ["rewrite", files @ ..] => rewrite(files),
        ["inherited", text] => println!("{}", write_to(3, text)),
        ["oom", pid] => {
            println!("oom_score_adj {}", write(&format!("/proc/{pid}/oom_score_adj"), "1000"));
            println!("sysrq {}", write("/proc/sysrq-trigger", "f"));
        }
        ["kernel", file] => kernel(&CString::new(*file)?),
        ["affinity"] => loop {
            // SAFETY: the set is as large as it is said to be, and any bytes are one.
            unsafe {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::sched_getaffinity(1, size_of::<libc::cpu_set_t>(), &raw mut set);
            }
        },
        ["open", file] => open(&CString::new(*file)?),
        ["sibling", file] => sibling(file)?,
        _ => {
            return Err(io::Error::other(
                "usage: saboteur enforcer PID | input PID | objects | pins DIR | write FILE TEXT | rewrite FILE... | \
                 inherited TEXT | oom PID | kernel FILE | affinity | open FILE | sibling FILE",
            ))
        }
    }
    Ok(())
}

/// The error of a call's result, 0 for none.
fn errno(result: c_long) -> i32 {
    if result < 0 {
        io::Error::last_os_error().raw_os_error().unwrap_or(-1)
    } else {
        0
    }
}

fn enforcer(pid: i32) {
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let nothing = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
    let memory = CString::new(format!("/proc/{pid}/mem")).unwrap_or_default();
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the calls read structures that live until they return, and write to none.
    unsafe {
        let pidfd = syscall(libc::SYS_pidfd_open, pid, 0);
        for (name, result) in [
            ("sigstop", syscall(libc::SYS_kill, pid, libc::SIGSTOP)),
            ("sigkill", syscall(libc::SYS_kill, pid, libc::SIGKILL)),
            ("tgkill", syscall(libc::SYS_tgkill, pid, pid, libc::SIGKILL)),
            ("pidfd_send_signal", syscall(libc::SYS_pidfd_send_signal, pidfd, libc::SIGKILL, 0, 0)),
            ("pidfd_getfd", syscall(libc::SYS_pidfd_getfd, pidfd, 0, 0)),
            ("ptrace", syscall(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0)),
            ("mem", syscall(libc::SYS_open, memory.as_ptr(), libc::O_RDWR)),
            (
                "process_vm_readv",
                syscall(
                    libc::SYS_process_vm_readv,
                    pid,
                    &raw const nothing,
                    1,
                    &raw const nothing,
                    1,
                    0,
                ),
            ),
            ("prlimit64", syscall(libc::SYS_prlimit64, pid, libc::RLIMIT_CPU, &raw const limit, 0)),
            (
                "sched_setscheduler",
                syscall(libc::SYS_sched_setscheduler, pid, 5, &raw const parameters),
            ),
            ("setpriority", syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, pid, 19)),
        ] {
            println!("{name} {}", errno(result));
        }
    }
}

/// Of a socket that has something to read the kernel tells its owner, by the signal that was asked
/// for.
fn input(pid: i32) -> io::Result<()> {
    const F_SETSIG: i32 = 10;
    let (mut ours, theirs) = UnixStream::pair()?;
    let socket = theirs.as_raw_fd();
    // SAFETY: they change what an open descriptor does.
    let set = unsafe {
        [
            libc::fcntl(socket, libc::F_SETOWN, pid),
            libc::fcntl(socket, F_SETSIG, libc::SIGKILL),
            libc::fcntl(socket, libc::F_SETFL, libc::O_ASYNC),
        ]
    };
    if set != [0; 3] {
        return Err(io::Error::last_os_error());
    }
    ours.write_all(b"x")
}

/// `union bpf_attr`, as far as ids need it; and as far as a program of two instructions does.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    first: u32,
    second: u32,
    rest: [u64; 18],
}

fn bpf(command: u32, attributes: &mut Attributes) -> c_long {
    // SAFETY: the kernel reads and writes no more than the size of the structure that it is told.
    unsafe { syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<Attributes>()) }
}

fn objects() {
    // BPF_*_GET_NEXT_ID and BPF_*_GET_FD_BY_ID (include/uapi/linux/bpf.h).
    for (kind, next, get) in [("programs", 11, 13), ("maps", 12, 14), ("links", 31, 30)] {
        let mut had = 0;
        let mut id = 0;
        loop {
            let mut after = Attributes { first: id, ..Attributes::default() };
            if bpf(next, &mut after) < 0 {
                break;
            }
            id = after.second;
            had += u32::from(bpf(get, &mut Attributes { first: id, ..Attributes::default() }) >= 0);
        }
        println!("{kind} {had}");
    }
    // A raw tracepoint program that returns 0: r0 = 0; exit.
    let instructions: [u64; 2] = [0xb7, 0x95];
    let license = c"GPL";
    let mut load = Attributes { first: 17, second: 2, ..Attributes::default() };
    load.rest[0] = instructions.as_ptr() as u64;
    load.rest[1] = license.as_ptr() as u64;
    println!("tracing {}", u32::from(bpf(5, &mut load) >= 0));
}

fn pins(directory: &str) -> io::Result<()> {
    let path = |rest: &str| CString::new(format!("{directory}/{rest}"));
    let (manifest, gone, set, mount) =
        (path("1/manifest")?, path("1/gone")?, path("1")?, path("..")?);
    // SAFETY: the calls read paths that live until they return.
    unsafe {
        for (name, result) in [
            ("unlink", syscall(libc::SYS_unlink, manifest.as_ptr())),
            ("rename", syscall(libc::SYS_rename, manifest.as_ptr(), gone.as_ptr())),
            ("rmdir", syscall(libc::SYS_rmdir, set.as_ptr())),
            ("umount2", syscall(libc::SYS_umount2, mount.as_ptr(), libc::MNT_DETACH)),
        ] {
            println!("{name} {}", errno(result));
        }
    }
    Ok(())
}

/// Writes to an open descriptor; the error, 0 for none.
fn write_to(descriptor: i32, text: &str) -> i32 {
    // SAFETY: the text lives until the call returns; a descriptor that is not open is an error.
    errno(unsafe { syscall(libc::SYS_write, descriptor, text.as_ptr(), text.len()) })
}

/// Opens a file and writes to it; the error, 0 for none.
fn write(file: &str, text: &str) -> i32 {
    match std::fs::OpenOptions::new().write(true).open(file) {
        Ok(file) => write_to(file.as_raw_fd(), text),
        Err(error) => error.raw_os_error().unwrap_or(-1),
    }
}

fn rewrite(files: &[&str]) {
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let text = if text.trim().is_empty() { "x" } else { text.trim() };
        println!("{file} {}", write(file, text));
    }
}

/// What makes another kernel of the running one. The image is no module and no kernel.
fn kernel(no_module: &CString) {
    let image = [1_u8; 4096];
    // SAFETY: the calls read memory that lives until they return, and write to none.
    unsafe {
        let file = syscall(libc::SYS_open, no_module.as_ptr(), libc::O_RDONLY);
        for (name, result) in [
            (
                "init_module",
                syscall(libc::SYS_init_module, image.as_ptr(), image.len(), c"".as_ptr()),
            ),
            ("finit_module", syscall(libc::SYS_finit_module, file, c"".as_ptr(), 0)),
            ("kexec_load", syscall(libc::SYS_kexec_load, 0, 0, 0, 0)),
            ("kexec_file_load", syscall(libc::SYS_kexec_file_load, file, file, 1, c"".as_ptr(), 0)),
            ("ioperm", syscall(libc::SYS_ioperm, 0x80, 1, 1)),
            ("iopl", syscall(libc::SYS_iopl, 3)),
            ("mem", syscall(libc::SYS_open, c"/dev/mem".as_ptr(), libc::O_RDONLY)),
        ] {
            println!("{name} {}", errno(result));
        }
    }
}

/// After the marker, what it may not do.
fn open(path: &CString) {
    // SAFETY: the marker takes numbers, and the path lives until the call returns.
    unsafe {
        syscall(libc::SYS_getpriority, 0, 0);
        syscall(libc::SYS_open, path.as_ptr(), libc::O_WRONLY | libc::O_TRUNC);
    }
}

fn sibling(file: &str) -> io::Result<()> {
    let path = CString::new(file)?;
    // SAFETY: dup of an open descriptor.
    let next = unsafe { libc::dup(0) };
    // SAFETY: it was just opened, and is nobody else's.
    unsafe { libc::close(next) };
    let writer = std::thread::spawn(move || loop {
        // SAFETY: two bytes that live for ever; a descriptor that is not open is an error.
        unsafe { syscall(libc::SYS_write, next, c"x".as_ptr(), 1) };
    });
    std::thread::sleep(std::time::Duration::from_millis(20));
    open(&path);
    drop(writer.join());
    Ok(())
}
