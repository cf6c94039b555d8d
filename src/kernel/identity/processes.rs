//! Running processes, and which binary each of them runs.

use crate::kernel::error::KernelError;
use crate::kernel::identity::binaries::Identities;
use crate::kernel::identity::inode::{FileId, Inodes, Stat};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
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

/// Processes that are watched already, whatever they run by now. Each has the index of the binary
/// whose policy it is to be under.
pub(crate) type WatchedProcesses = BTreeMap<u32, usize>;

/// The processes that are to be adopted: those that run a binary of the identities, and those that
/// are watched already. With `all` every process is. `number` is the number of the binary with an
/// index. Processes come and go meanwhile: one that cannot be read any more is skipped, and the
/// program that adopts compares the file once more.
///
/// # Errors
/// `/proc` cannot be read, or the kernel cannot be asked for files.
pub(crate) fn candidates(
    identities: &Identities,
    inodes: &mut Inodes<'_>,
    watched: &WatchedProcesses,
    all: bool,
    number: impl Fn(usize) -> u32,
) -> Result<Vec<Candidate>, KernelError> {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for entry in fs::read_dir("/proc").map_err(KernelError::Proc)? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        if pid == std::process::id() {
            continue;
        }
        let link = entry.path().join("exe");
        let Ok(exe) = fs::metadata(&link).map(|m| Stat::of(&m)) else { continue };
        let binary = binary_of(&entry.path(), exe, identities, inodes)
            .or_else(|| watched.get(&pid).copied());
        if binary.is_some() || all {
            found.push((pid, exe, binary));
            if inodes.known(exe).is_none() {
                unknown.push(link);
            }
        }
    }
    inodes.learn(&unknown)?;
    let candidate = |(pid, exe, binary): (u32, Stat, Option<usize>)| {
        Some(Candidate { pid, exe: inodes.known(exe)?, binary: binary.map(&number) })
    };
    Ok(found.into_iter().filter_map(candidate).collect())
}

/// The index of the binary that a process runs.
fn binary_of(
    process: &Path,
    exe: Stat,
    identities: &Identities,
    inodes: &Inodes<'_>,
) -> Option<usize> {
    let by_file = || inodes.known(exe).and_then(|file| identities.files.get(&file).copied());
    let target = fs::read_link(process.join("exe")).ok().map(|target| {
        let text = target.to_string_lossy();
        PathBuf::from(text.strip_suffix(" (deleted)").unwrap_or(&text))
    });
    let by_path = || {
        let target = target.as_deref()?;
        // The path of a process in a mount namespace of its own begins at its own root, that of a
        // process in a chroot at ours.
        let inside = fs::read_link(process.join("root"))
            .ok()
            .and_then(|root| target.strip_prefix(root).ok());
        identities.at(target).or_else(|| identities.at(&Path::new("/").join(inside?)))
    };
    let by_name = || identities.names.get(target.as_deref()?.file_name()?.to_str()?).copied();
    let direct = by_file().or_else(by_path).or_else(by_name);
    if direct.is_none() && !identities.interpreters.contains(&exe) && identities.names.is_empty() {
        return None;
    }
    // The file that was given to exec is the program itself, or a script that it interprets.
    let given = exec_path(process);
    let Some(script) = given.as_deref().and_then(|path| script_of(process, path)) else {
        return direct;
    };
    let by_name = || {
        let name = given.as_deref()?.file_name()?.to_str()?;
        identities.names.get(name).copied()
    };
    identities.script_files.get(&script).copied().or_else(by_name)
}

/// The script that a path leads to, as a process sees it; `None` if there is no script.
pub(crate) fn script_of(process: &Path, path: &Path) -> Option<Stat> {
    let path = path
        .strip_prefix("/")
        .map_or_else(|_| process.join("cwd").join(path), |p| process.join("root").join(p));
    let mut head = [0; 2];
    fs::File::open(&path).and_then(|mut f| f.read_exact(&mut head)).ok()?;
    let script = head == *b"#!";
    script.then(|| fs::metadata(&path).map(|m| Stat::of(&m)).ok()).flatten()
}

/// The path that was given to the exec of a process. The kernel leaves it on the new stack
/// (`AT_EXECFN`, `fs/binfmt_elf.c`).
pub(crate) fn exec_path(process: &Path) -> Option<PathBuf> {
    const AT_EXECFN: u64 = 31;
    let auxv = fs::read(process.join("auxv")).ok()?;
    let mut words =
        auxv.chunks_exact(8).filter_map(|w| Some(u64::from_ne_bytes(w.try_into().ok()?)));
    let address = loop {
        let (key, value) = (words.next()?, words.next()?);
        if key == AT_EXECFN {
            break value;
        }
    };
    let mut memory = fs::File::open(process.join("mem")).ok()?;
    memory.seek(SeekFrom::Start(address)).ok()?;
    let mut text = Vec::new();
    // The string may end where the stack does. Reading on fails there.
    drop(memory.take(4096).read_to_end(&mut text));
    let end = text.iter().position(|&b| b == 0)?;
    let text = String::from_utf8(text.get(..end)?.to_vec()).ok()?;
    Some(PathBuf::from(text))
}
