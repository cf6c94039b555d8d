//! Files as the kernel numbers them. stat(2) shows other device numbers where a file system makes
//! up its own (overlayfs, btrfs), so the kernel itself is asked: we open the file, and a program
//! over the open files tells.

use crate::kernel::bpf::log;
use crate::kernel::bpf::skeleton::{types, IdentifySkel, IdentifySkelBuilder};
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::OpenObject;
use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::mem::{size_of, MaybeUninit};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A file, by what the kernel compares at an exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId {
    device: u32,
    inode: u64,
    /// Tells a file from one that is gone and had the same number.
    generation: u32,
}

impl FileId {
    pub(crate) fn wire(self) -> types::sysfsm_file {
        types::sysfsm_file { inode: self.inode, device: self.device, generation: self.generation }
    }
}

/// A file, by what stat(2) shows of it: enough to tell whether two paths are one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stat {
    device: u64,
    inode: u64,
}

impl Stat {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Stat { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Files whose descriptors are held at once: far below the usual limit of 1,024.
const BATCH: usize = 256;

/// Asks the kernel for the numbers of files, once for each file.
pub(crate) struct Inodes<'a> {
    skel: IdentifySkel<'a>,
    known: HashMap<Stat, FileId>,
}

/// What the kernel tells of a process's descriptors.
struct OwnFiles {
    by_descriptor: HashMap<u32, FileId>,
    process: Option<u32>,
}

impl<'a> Inodes<'a> {
    /// Loads the program that tells.
    pub(crate) fn load(object: &'a mut MaybeUninit<OpenObject>) -> Result<Self, KernelError> {
        let refused = |cause| KernelError::Load { cause, log: log::take() };
        let skel = IdentifySkelBuilder::default()
            .open(object)
            .map_err(refused)?
            .load()
            .map_err(refused)?;
        Ok(Inodes { skel, known: HashMap::new() })
    }

    /// The file that a path leads to.
    pub(crate) fn of(&mut self, path: &Path) -> Result<io::Result<FileId>, KernelError> {
        let stat = match std::fs::metadata(path) {
            Ok(metadata) => Stat::of(&metadata),
            Err(e) => return Ok(Err(e)),
        };
        if !self.known.contains_key(&stat) {
            self.learn(&[path])?;
        }
        Ok(self
            .known(stat)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it was just replaced")))
    }

    /// The file of these numbers, if it was asked for before.
    pub(crate) fn known(&self, stat: Stat) -> Option<FileId> {
        self.known.get(&stat).copied()
    }

    /// Asks for many files at a time. One that cannot be opened is left out.
    pub(crate) fn learn(&mut self, paths: &[impl AsRef<Path>]) -> Result<(), KernelError> {
        for batch in paths.chunks(BATCH) {
            let files: Vec<(File, Stat)> = batch
                .iter()
                .filter_map(|path| {
                    // O_PATH needs no right to read, and disturbs no device.
                    let flags = nix::libc::O_PATH | nix::libc::O_CLOEXEC;
                    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
                    let stat = Stat::of(&file.metadata().ok()?);
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

    /// This process's id, as the kernel counts it: a process namespace shows another.
    pub(crate) fn process(&self) -> Result<u32, KernelError> {
        let program = "handle_open_file";
        // Standard streams may be closed; this file is open meanwhile.
        let _file = File::open("/").map_err(KernelError::Proc)?;
        self.own_files()?.process.ok_or_else(|| KernelError::Iterate {
            program,
            cause: io::Error::new(io::ErrorKind::NotFound, "no open file"),
        })
    }

    /// The files behind this process's descriptors.
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
