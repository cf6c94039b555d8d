//! Running processes, and which binary each of them runs.

use crate::kernel::error::KernelError;
use crate::kernel::identity::binaries::Identities;
use crate::kernel::identity::inode::{open_path, FileId, Inodes, Stat};
use crate::kernel::identity::lookups::{look_up, Found, Lookup};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// A running process that is to be adopted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// The process's id.
    pub pid: u32,
    /// The file that it runs.
    pub exe: FileId,
    /// The number of the binary that it is taken for; `None` if a policy for any binary is meant.
    pub binary: Option<u32>,
}

/// The processes that are to be adopted: those that run a binary of the identities. With `all` every
/// process is. `number` is the number of the binary with an index. Processes come and go meanwhile:
/// one that cannot be read any more is skipped, and the program that adopts compares the file once
/// more.
///
/// # Errors
/// `/proc` cannot be read, or the kernel cannot be asked for files.
pub(crate) fn candidates(
    identities: &Identities,
    inodes: &mut Inodes<'_>,
    all: bool,
    number: impl Fn(usize) -> u32,
) -> Result<Vec<Candidate>, KernelError> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").map_err(KernelError::Proc)? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        if pid != std::process::id() {
            processes.extend(Process::read(pid, entry.path()));
        }
    }
    let binaries = binaries_of(&processes, identities, inodes)?;
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for (process, binary) in processes.iter().zip(binaries) {
        if binary.is_some() || all {
            found.push((process, binary));
            if inodes.known(process.exe).is_none() {
                unknown.push(process.directory.join("exe"));
            }
        }
    }
    inodes.learn(&unknown)?;
    let candidate = |(process, binary): (&Process, Option<usize>)| {
        let exe = inodes.known(process.exe)?;
        Some(Candidate { pid: process.pid, exe, binary: binary.map(&number) })
    };
    Ok(found.into_iter().filter_map(candidate).collect())
}

/// A running process, as its links in `/proc` show it. These links are the kernel's: to read one
/// opens nothing and asks no file system.
pub(crate) struct Process {
    pub pid: u32,
    /// Its directory in `/proc`; that of one of its threads, if the first one has ended.
    pub directory: PathBuf,
    /// The file that it runs.
    pub exe: Stat,
    /// The path of that file.
    pub exe_path: PathBuf,
}

impl Process {
    /// Reads what a process runs; `None` if it runs nothing. `directory` is that of the process.
    pub(crate) fn read(pid: u32, directory: PathBuf) -> Option<Self> {
        let threads = directory.join("task");
        // The first thread may have ended before the others. It has no memory then, and no file
        // (proc_exe_link, fs/proc/base.c).
        Self::of_thread(pid, directory).or_else(|| {
            let mut threads = fs::read_dir(threads).ok()?.flatten();
            threads.find_map(|thread| Self::of_thread(pid, thread.path()))
        })
    }

    /// Reads what a process runs from the directory of one of its threads.
    fn of_thread(pid: u32, directory: PathBuf) -> Option<Self> {
        let link = directory.join("exe");
        let exe = Stat::of_open(&open_path(&link).ok()?).ok()?.0;
        let target = fs::read_link(link).ok()?.into_os_string().into_vec();
        let target = target.strip_suffix(b" (deleted)").unwrap_or(&target);
        let exe_path = PathBuf::from(OsStr::from_bytes(target));
        Some(Process { pid, directory, exe, exe_path })
    }

    /// A path that the process uses, as it is from the process's own root directory. The path of a
    /// process in a mount namespace of its own begins there anyway, that of a process in a chroot
    /// at our root.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        let root = fs::read_link(self.directory.join("root")).ok()?;
        Some(Path::new("/").join(path.strip_prefix(root).ok()?))
    }

    /// A path that was given to the process's exec, from the root directory or from the working
    /// directory, as it is from our root directory.
    pub(crate) fn absolute(&self, given: &Path) -> Option<PathBuf> {
        if given.is_absolute() {
            return Some(given.into());
        }
        Some(fs::read_link(self.directory.join("cwd")).ok()?.join(given))
    }

    /// A path that was given to the process's exec, as it is from the process's own root directory.
    fn absolute_inside(&self, given: &Path) -> Option<PathBuf> {
        if given.is_absolute() {
            return Some(given.into());
        }
        let directory = fs::read_link(self.directory.join("cwd")).ok()?;
        Some(self.inside(&directory).unwrap_or(directory).join(given))
    }

    /// How to find the file that a given path leads to.
    pub(crate) fn lookup(&self, given: &Path) -> Option<Lookup> {
        Lookup::file(&self.directory.join("root"), &self.absolute_inside(given)?)
    }

    /// Whether the process interprets the file that its given path leads to, which then is a
    /// script. Else that file is the one that the process runs, or has replaced it.
    pub(crate) fn interprets(&self, found: Option<&Found>) -> bool {
        match found {
            Some(Found::File { file, regular, path }) => {
                *regular && *file != self.exe && *path != self.exe_path
            }
            _ => false,
        }
    }
}

/// The indexes of the binaries that processes run.
fn binaries_of(
    processes: &[Process],
    identities: &Identities,
    inodes: &Inodes<'_>,
) -> Result<Vec<Option<usize>>, KernelError> {
    let mut binaries: Vec<_> =
        processes.iter().map(|process| runs(process, identities, inodes)).collect();
    // A process of a script runs the interpreter. What the process was exec'd by is what the
    // process claims: the path is compared as it is, and nothing at it is opened.
    let all = !identities.scripts.is_empty() || !identities.names.is_empty();
    let rows = processes.iter().zip(binaries.iter_mut());
    let (asked, rows): (Vec<&Process>, Vec<_>) = rows
        .filter(|(_, binary)| all || binary.is_some())
        .map(|(process, binary)| (process, (process, binary)))
        .unzip();
    let given = given_paths(asked)?;
    let mut uncertain = Vec::new();
    for ((process, binary), given) in rows.into_iter().zip(given) {
        let Some(given) = given else { continue };
        let script = process.absolute_inside(&given).and_then(|path| identities.script_at(&path));
        if script.is_some() {
            *binary = script;
            continue;
        }
        let named = given
            .file_name()
            .and_then(OsStr::to_str)
            .and_then(|name| identities.names.get(name).copied());
        if binary.is_some() || named.is_some() {
            uncertain.extend(process.lookup(&given).map(|lookup| (process, binary, named, lookup)));
        }
    }
    let (rows, lookups): (Vec<_>, Vec<_>) = uncertain
        .into_iter()
        .map(|(p, binary, named, lookup)| ((p, binary, named), lookup))
        .unzip();
    let found = look_up(&lookups).map_err(KernelError::Child)?;
    for ((process, binary, named), found) in rows.into_iter().zip(found) {
        if process.interprets(found.as_ref()) {
            *binary = named;
        }
    }
    Ok(binaries)
}

/// The index of the binary that a process runs, if the process interprets no script.
fn runs(process: &Process, identities: &Identities, inodes: &Inodes<'_>) -> Option<usize> {
    let by_file = || {
        let file = inodes.known(process.exe)?;
        identities.files.get(&file).copied()
    };
    let by_path = || {
        let path = &process.exe_path;
        identities.at(path).or_else(|| identities.at(&process.inside(path)?))
    };
    let by_name = || identities.names.get(process.exe_path.file_name()?.to_str()?).copied();
    by_file().or_else(by_path).or_else(by_name)
}

/// The paths that were given to the execs of processes; `None` where a process does not let that
/// be read.
///
/// # Errors
/// No child process can be created.
pub(crate) fn given_paths<'a>(
    processes: impl IntoIterator<Item = &'a Process>,
) -> Result<Vec<Option<PathBuf>>, KernelError> {
    let lookups: Option<Vec<Lookup>> =
        processes.into_iter().map(|process| Lookup::given_path(&process.directory)).collect();
    let found = look_up(&lookups.unwrap_or_default()).map_err(KernelError::Child)?;
    let path = |found: Option<Found>| match found {
        Some(Found::Path(path)) => Some(path),
        _ => None,
    };
    Ok(found.into_iter().map(path).collect())
}
