//! Files as the kernel numbers them. stat(2) shows other device numbers where a file system makes
//! up its own (overlayfs, btrfs). So the file is opened, and a BPF iterator over open files reads
//! the kernel's numbers.

use crate::kernel::bpf::log;
use crate::kernel::bpf::skeleton::{types, IdentifySkel, IdentifySkelBuilder};
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::OpenObject;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::mem::{size_of, MaybeUninit};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A file, as the kernel compares files at an exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId {
    device: u32,
    inode: u64,
    /// Differs between a file and a deleted one that had the same inode number.
    generation: u32,
}

impl FileId {
    /// The file as the C header has it.
    pub(crate) fn wire(self) -> types::sysfsm_file {
        types::sysfsm_file { inode: self.inode, device: self.device, generation: self.generation }
    }
}

/// A file, as stat(2) shows it. Two paths of one file have equal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stat {
    device: u64,
    inode: u64,
}

impl Stat {
    /// The file with these numbers.
    pub(crate) fn new(device: u64, inode: u64) -> Self {
        Stat { device, inode }
    }

    /// An open file, and whether it is a regular one. The kernel answers from what it knows: the
    /// server of a network file system, or of one in user space, is not asked.
    ///
    /// # Errors
    /// The kernel cannot say.
    pub(crate) fn of_open(file: &File) -> io::Result<(Self, bool)> {
        let stat = statx(file.as_raw_fd()).ok_or_else(io::Error::last_os_error)?;
        let device = nix::libc::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        let kind = u32::from(stat.stx_mode) & nix::libc::S_IFMT;
        Ok((Stat::new(device, stat.stx_ino), kind == nix::libc::S_IFREG))
    }
}

/// What the kernel knows of an open file. Async-signal-safe.
pub(crate) fn statx(descriptor: RawFd) -> Option<nix::libc::statx> {
    use nix::libc::{AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_STATX_DONT_SYNC, STATX_BASIC_STATS};
    // SAFETY: all zero is a value of the structure.
    let mut stat: nix::libc::statx = unsafe { MaybeUninit::zeroed().assume_init() };
    let flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
    // SAFETY: an empty path, and room for the answer.
    let done = unsafe {
        nix::libc::statx(descriptor, c"".as_ptr(), flags, STATX_BASIC_STATS, &raw mut stat)
    };
    (done == 0).then_some(stat)
}

/// Finds the file at a path without opening it: `O_PATH` needs no right to read, wakes no device
/// and waits for no other end of a FIFO.
///
/// # Errors
/// The path leads nowhere.
pub(crate) fn open_path(path: &Path) -> io::Result<File> {
    let flags = nix::libc::O_PATH | nix::libc::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// How many files are open at once: far below the usual limit of 1,024.
const BATCH: usize = 256;

/// The kernel's numbers of files. The kernel is asked once for each file.
pub(crate) struct Inodes<'a> {
    skel: IdentifySkel<'a>,
    known: HashMap<Stat, FileId>,
}

/// The open files of this process.
struct OwnFiles {
    /// By descriptor, the file.
    by_descriptor: HashMap<u32, FileId>,
    /// The process's id in the initial process namespace; `None` without an open file.
    process: Option<u32>,
}

impl<'a> Inodes<'a> {
    /// Loads the iterator.
    ///
    /// # Errors
    /// The kernel refuses the program.
    pub(crate) fn load(object: &'a mut MaybeUninit<OpenObject>) -> Result<Self, KernelError> {
        let refused = |cause| KernelError::Load { cause, log: log::take() };
        let skel = IdentifySkelBuilder::default()
            .open(object)
            .map_err(refused)?
            .load()
            .map_err(refused)?;
        Ok(Inodes { skel, known: HashMap::new() })
    }

    /// The file that a path leads to. The inner error is that of the file system.
    ///
    /// # Errors
    /// The iterator cannot be read.
    pub(crate) fn of(&mut self, path: &Path) -> Result<io::Result<FileId>, KernelError> {
        let stat = match open_path(path).and_then(|file| Stat::of_open(&file)) {
            Ok((stat, _)) => stat,
            Err(e) => return Ok(Err(e)),
        };
        if !self.known.contains_key(&stat) {
            self.learn(&[path])?;
        }
        Ok(self
            .known(stat)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it was just replaced")))
    }

    /// The file, if the kernel was asked for it before.
    pub(crate) fn known(&self, stat: Stat) -> Option<FileId> {
        self.known.get(&stat).copied()
    }

    /// Asks the kernel for many files at a time. A file that cannot be opened is skipped.
    ///
    /// # Errors
    /// The iterator cannot be read.
    pub(crate) fn learn(&mut self, paths: &[impl AsRef<Path>]) -> Result<(), KernelError> {
        for batch in paths.chunks(BATCH) {
            let files: Vec<(File, Stat)> = batch
                .iter()
                .filter_map(|path| {
                    let file = open_path(path.as_ref()).ok()?;
                    let (stat, _) = Stat::of_open(&file).ok()?;
                    Some((file, stat))
                })
                .collect();
            let numbers = self.own_files()?.by_descriptor;
            for (file, stat) in &files {
                if let Some(id) =
                    u32::try_from(file.as_raw_fd()).ok().and_then(|fd| numbers.get(&fd))
                {
                    self.known.insert(*stat, *id);
                }
            }
        }
        Ok(())
    }

    /// The id of this process in the initial process namespace. In its own it may have another one.
    ///
    /// # Errors
    /// The iterator cannot be read.
    pub(crate) fn process(&self) -> Result<u32, KernelError> {
        let program = "handle_open_file";
        // Standard streams may be closed, and the iterator needs an open file.
        let _file = File::open("/").map_err(KernelError::Proc)?;
        self.own_files()?.process.ok_or_else(|| KernelError::Iterate {
            program,
            cause: io::Error::new(io::ErrorKind::NotFound, "no open file"),
        })
    }

    /// Runs the iterator over the open files of this process.
    fn own_files(&self) -> Result<OwnFiles, KernelError> {
        let program = "handle_open_file";
        let failed = |cause| KernelError::Attach { program, cause, log: log::take() };
        let link = self.skel.progs.handle_open_file.attach().map_err(failed)?;
        let mut records = Vec::new();
        libbpf_rs::Iter::new(&link)
            .map_err(failed)?
            .read_to_end(&mut records)
            .map_err(|cause| KernelError::Iterate { program, cause })?;
        let mut files = OwnFiles { by_descriptor: HashMap::new(), process: None };
        for bytes in records.chunks_exact(size_of::<types::sysfsm_open_file>()) {
            if let Some(record) = wire::record::<types::sysfsm_open_file>(bytes) {
                let file = &record.file;
                let (device, inode) = (file.device, file.inode);
                let file = FileId { device, inode, generation: file.generation };
                files.by_descriptor.insert(record.fd, file);
                files.process = Some(record.tgid);
            }
        }
        Ok(files)
    }
}
