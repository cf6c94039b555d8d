//! Looking at what another process claims. That process decides whether the kernel answers: its
//! memory may be a page of a file system that a program of its own serves, and so may a directory
//! of its path. So a child process looks, which is given up when it has to wait.

use crate::kernel::identity::inode::{statx, Stat};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::{fork, ForkResult, Pid};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::{size_of_val, MaybeUninit};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one lookup may take.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long all lookups that do not end may take together, before [`LITTLE_PATIENCE`] begins.
const ALL_PATIENCE: Duration = Duration::from_secs(1);

/// How long one lookup may take after many others have taken too long. A lookup that does not wait
/// takes a hundredth of that.
const LITTLE_PATIENCE: Duration = Duration::from_millis(5);

/// The longest path (`PATH_MAX`).
const LONGEST: usize = 4096;

/// Something to find out.
pub(crate) enum Lookup {
    /// The path that was given to the exec of a process. The kernel leaves it on the new stack
    /// (`AT_EXECFN`, `fs/binfmt_elf.c`), where the process may write something else.
    GivenPath {
        /// `/proc/PID/auxv`.
        auxv: CString,
        /// `/proc/PID/mem`.
        memory: CString,
    },
    /// The file that a path leads to. Nothing is opened.
    File {
        /// The directory that the path begins at, and that links do not lead out of.
        root: CString,
        /// The path.
        path: CString,
    },
}

/// What was found out.
#[derive(Debug)]
pub(crate) enum Found {
    /// A path.
    Path(PathBuf),
    /// A file.
    File {
        /// The file.
        file: Stat,
        /// Whether it is a regular one.
        regular: bool,
        /// Its path, without links.
        path: PathBuf,
    },
}

impl Lookup {
    /// The path that was given to the exec of a process, which is a directory of `/proc`.
    pub(crate) fn given_path(process: &Path) -> Option<Self> {
        Some(Lookup::GivenPath {
            auxv: text(&process.join("auxv"))?,
            memory: text(&process.join("mem"))?,
        })
    }

    /// The file at a path, as it is from a root directory.
    pub(crate) fn file(root: &Path, path: &Path) -> Option<Self> {
        Some(Lookup::File { root: text(root)?, path: text(path)? })
    }

    /// Finds out, in the child process. Returns how many bytes of the answer it has written.
    ///
    /// Makes only system calls, and allocates and frees nothing: the process was forked.
    fn look(&self, answer: &mut Answer) -> Option<usize> {
        match self {
            Lookup::GivenPath { auxv, memory } => given_path(auxv, memory, answer),
            Lookup::File { root, path } => file(root, path, answer),
        }
    }

    /// What an answer says.
    fn read(&self, header: &Header, bytes: &[u8]) -> Found {
        let path = PathBuf::from(OsStr::from_bytes(bytes));
        match self {
            Lookup::GivenPath { .. } => Found::Path(path),
            Lookup::File { .. } => Found::File {
                file: Stat::new(header.device, header.inode),
                regular: header.regular,
                path,
            },
        }
    }
}

fn text(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}

/// What an answer begins with.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
struct Header {
    /// The number of the lookup.
    index: u64,
    /// Whether something was found.
    found: bool,
    regular: bool,
    device: u64,
    inode: u64,
    /// How many bytes of the text there are.
    length: u64,
}

/// An answer, as the child process sends it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Answer {
    header: Header,
    text: [u8; LONGEST],
}

impl Answer {
    fn empty() -> Self {
        Answer { header: Header::default(), text: [0; LONGEST] }
    }
}

/// Finds out each of these; `None` where there is nothing, or where the answer took too long.
///
/// # Errors
/// No child process can be created.
pub(crate) fn look_up(lookups: &[Lookup]) -> io::Result<Vec<Option<Found>>> {
    let mut found: Vec<Option<Found>> = lookups.iter().map(|_| None).collect();
    let mut next = 0;
    let mut waited = Duration::ZERO;
    while next < lookups.len() {
        let (ours, theirs) = UnixDatagram::pair()?;
        let child = start(lookups, next, &theirs)?;
        drop(theirs);
        let patience = if waited < ALL_PATIENCE { PATIENCE } else { LITTLE_PATIENCE };
        ours.set_read_timeout(Some(patience))?;
        while let Some((header, bytes)) = receive(&ours) {
            let index = usize::try_from(header.index).unwrap_or(usize::MAX);
            if let (Some(lookup), Some(place), true) =
                (lookups.get(index), found.get_mut(index), header.found)
            {
                *place = Some(lookup.read(&header, &bytes));
            }
            next = index.saturating_add(1);
            if next >= lookups.len() {
                break;
            }
        }
        if next < lookups.len() {
            tracing::debug!("a process does not let itself be looked at: lookup {next} given up");
            waited += patience;
            next += 1;
        }
        end(child);
    }
    Ok(found)
}

/// The next answer; `None` if none comes in time.
fn receive(socket: &UnixDatagram) -> Option<(Header, Vec<u8>)> {
    let mut bytes = [0; size_of::<Answer>()];
    let length = loop {
        match socket.recv(&mut bytes) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            received => break received.ok()?,
        }
    };
    // SAFETY: as many bytes as a header has, and every value of them that the child sends is one.
    let header: Header = (length >= size_of::<Header>())
        .then(|| unsafe { bytes.as_ptr().cast::<Header>().read_unaligned() })?;
    let text = bytes.get(size_of::<Header>()..length)?;
    Some((header, text.get(..usize::try_from(header.length).ok()?)?.to_vec()))
}

/// Starts a child process that looks up all from `first` on.
fn start(lookups: &[Lookup], first: usize, socket: &UnixDatagram) -> io::Result<Pid> {
    let mut answer = Answer::empty();
    let socket = socket.as_raw_fd();
    // SAFETY: up to its `_exit` the child makes only system calls, and allocates and frees nothing.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // A child that waits for good must not keep our links, locks and output.
            close_others(socket);
            for (index, lookup) in lookups.iter().enumerate().skip(first) {
                let length = lookup.look(&mut answer);
                answer.header.index = index as u64;
                answer.header.found = length.is_some();
                answer.header.length = length.unwrap_or(0) as u64;
                let bytes = size_of::<Header>() + length.unwrap_or(0);
                // SAFETY: the answer has as many bytes.
                let sent = unsafe {
                    libc::send(socket, (&raw const answer).cast(), bytes, libc::MSG_NOSIGNAL)
                };
                if sent < 0 {
                    break;
                }
            }
            // SAFETY: the child ends without the exit handlers, which are the parent's to run.
            unsafe { libc::_exit(0) }
        }
    }
}

/// Ends a child process. One that cannot be killed now dies as soon as it can.
fn end(child: Pid) {
    let _ = kill(child, Signal::SIGKILL);
    for _ in 0..20 {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
            Err(Errno::EINTR) => {}
            _ => return,
        }
    }
}

/// Closes all descriptors but one, and has the process die with its parent.
fn close_others(kept: RawFd) {
    let kept = u32::try_from(kept).unwrap_or(0);
    // SAFETY: numbers only; no code that owns another descriptor runs in this process any more.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if kept > 0 {
            libc::syscall(libc::SYS_close_range, 0, kept - 1, 0);
        }
        libc::syscall(libc::SYS_close_range, kept + 1, u32::MAX, 0);
    }
}

/// Opens a path of `/proc`.
fn open(path: &CStr, flags: i32) -> Option<RawFd> {
    // SAFETY: the path is a C string.
    let descriptor = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) };
    (descriptor >= 0).then_some(descriptor)
}

fn close(descriptor: RawFd) {
    // SAFETY: who calls owns the descriptor.
    unsafe { libc::close(descriptor) };
}

/// Finds the path that was given to an exec.
fn given_path(auxv: &CStr, memory: &CStr, answer: &mut Answer) -> Option<usize> {
    let mut words = [0_u64; 128];
    let descriptor = open(auxv, libc::O_RDONLY)?;
    // SAFETY: the buffer has as many bytes.
    unsafe { libc::read(descriptor, words.as_mut_ptr().cast(), size_of_val(&words)) };
    close(descriptor);
    let mut pairs = words.chunks_exact(2);
    let address = pairs.find_map(|pair| match *pair {
        [libc::AT_EXECFN, address] => i64::try_from(address).ok(),
        _ => None,
    })?;
    let descriptor = open(memory, libc::O_RDONLY)?;
    // The string may end where the stack does. What comes before that is read.
    // SAFETY: the buffer has as many bytes.
    let read =
        unsafe { libc::pread(descriptor, answer.text.as_mut_ptr().cast(), LONGEST, address) };
    close(descriptor);
    let read = answer.text.get(..usize::try_from(read).ok()?)?;
    read.iter().position(|&byte| byte == 0)
}

/// Finds the file that a path leads to.
fn file(root: &CStr, path: &CStr, answer: &mut Answer) -> Option<usize> {
    let root = open(root, libc::O_PATH)?;
    // SAFETY: all zero is a value of it, and leaves out the fields of newer kernels.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: a C string, and a structure of the given size.
    let found = unsafe {
        libc::syscall(libc::SYS_openat2, root, path.as_ptr(), &raw const how, size_of_val(&how))
    };
    close(root);
    let found = RawFd::try_from(found).ok().filter(|&found| found >= 0)?;
    let stat = statx(found);
    let length = path_of(found, &mut answer.text);
    close(found);
    let stat = stat?;
    answer.header.device = libc::makedev(stat.stx_dev_major, stat.stx_dev_minor);
    answer.header.inode = stat.stx_ino;
    answer.header.regular = u32::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFREG;
    length
}

/// Writes the path of an open file; returns its length.
fn path_of(descriptor: RawFd, path: &mut [u8]) -> Option<usize> {
    let mut link = *b"/proc/self/fd/\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut digits = 1;
    while RawFd::checked_pow(10, digits).is_some_and(|power| power <= descriptor) {
        digits += 1;
    }
    let mut rest = descriptor;
    for place in link.get_mut(14..14 + digits as usize)?.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).ok()?;
        rest /= 10;
    }
    // SAFETY: a C string, and a buffer with as many bytes.
    let length =
        unsafe { libc::readlink(link.as_ptr().cast(), path.as_mut_ptr().cast(), path.len()) };
    usize::try_from(length).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn this_process_was_execd_by_a_path_that_leads_to_its_file() {
        let process = Path::new("/proc/self");
        // The child would look at itself.
        let process = process.canonicalize().unwrap();
        let lookups = [
            Lookup::given_path(&process).unwrap(),
            Lookup::file(Path::new("/"), Path::new("/proc/none")).unwrap(),
            Lookup::file(Path::new("/"), &std::env::current_exe().unwrap()).unwrap(),
        ];
        let mut found = look_up(&lookups).unwrap().into_iter();
        let Some(Some(Found::Path(given))) = found.next() else { panic!("no path") };
        assert_eq!(given.file_name(), std::env::current_exe().unwrap().file_name());
        assert!(found.next().unwrap().is_none(), "a path that leads nowhere");
        let Some(Some(Found::File { file, regular, path })) = found.next() else { panic!("none") };
        assert_eq!(file, Stat::of_open(&std::fs::File::open("/proc/self/exe").unwrap()).unwrap().0);
        assert!(regular);
        assert_eq!(path, std::fs::read_link("/proc/self/exe").unwrap());
    }
}
