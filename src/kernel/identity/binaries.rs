//! Which files the binaries of policies are: what the kernel compares at an exec.

use crate::kernel::bpf::skeleton::types::sysfsm_limit as Limit;
use crate::kernel::error::KernelError;
use crate::kernel::identity::inode::{open_path, FileId, Inodes, Stat};
use crate::text::shown;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// By what the kernel knows binaries. Each identity has the index of its binary among all.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    /// Files. A file is the same one wherever it is linked or mounted.
    pub files: BTreeMap<FileId, usize>,
    /// Paths, whichever file is there, as keys ([`keys_of`]).
    pub paths: BTreeMap<Vec<u8>, usize>,
    /// File names, in whichever directory the file is.
    pub names: BTreeMap<String, usize>,
    /// The files of scripts, whose indexes are among [`Identities::scripts`].
    script_files: HashMap<Stat, usize>,
    /// The binaries that are scripts, or that are not there yet and may be scripts.
    pub scripts: BTreeSet<usize>,
}

impl Identities {
    /// The binary with this path, as the process that runs it sees it from its root directory.
    pub(crate) fn at(&self, path: &Path) -> Option<usize> {
        let key = keys_of(path).pop()?;
        self.paths.get(&key).copied()
    }

    /// The script with this path, as the process that was exec'd by it sees it from its root
    /// directory.
    pub(crate) fn script_at(&self, path: &Path) -> Option<usize> {
        self.at(path).filter(|binary| self.scripts.contains(binary))
    }
}

/// The number of the item with this index in a list: numbers begin at 1, and 0 is none.
pub(crate) fn index_of(place: usize) -> u32 {
    u32::try_from(place + 1).unwrap_or(0)
}

/// The keys of a path (`struct sysfsm_path`), one for each directory on it: the rest of the path
/// from that directory, then the names from there up to the root. The last key is that of the
/// file's own directory.
fn keys_of(path: &Path) -> Vec<Vec<u8>> {
    let names: Vec<&[u8]> = path.iter().skip(1).map(OsStrExt::as_bytes).collect();
    let key = |from: usize| {
        let (above, below) = names.split_at_checked(from)?;
        let mut key = below.join(&b'/');
        for name in above.iter().rev() {
            key.push(0);
            key.extend_from_slice(name);
        }
        key.push(0);
        Some(key)
    };
    (0..names.len()).filter_map(key).collect()
}

/// The longest file name (`NAME_MAX`).
const MAX_NAME: usize = Limit::SYSFSM_NAME.0 as usize - 1;

/// The longest path that is compared. A key has room for one byte more, besides the zero, so that a
/// path that was cut off equals no other one.
const MAX_PATH: usize = Limit::SYSFSM_PATH.0 as usize - 2;

/// The most names of a path that is compared. The root directory counts as one.
const MAX_NAMES: usize = Limit::SYSFSM_PATH_NAMES.0 as usize;

/// Why a binary cannot be bound.
enum Problem {
    /// A message and a hint.
    Policy(String, String),
    /// The kernel could not be asked.
    Kernel(KernelError),
}

impl From<KernelError> for Problem {
    fn from(error: KernelError) -> Self {
        Problem::Kernel(error)
    }
}

fn problem(what: String, hint: &str) -> Problem {
    Problem::Policy(what, hint.into())
}

/// A binary that is to be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted<'a> {
    /// A path, or a file name.
    pub binary: &'a str,
    /// The file need not exist yet, or may only exist under another root directory. Then its path
    /// is bound.
    pub may_be_absent: bool,
}

/// Finds the identities of binaries.
///
/// # Errors
/// [`KernelError::Bind`] with every binary that cannot be bound, or what the kernel could not be
/// asked.
pub(crate) fn identify(
    wanted: &[Wanted<'_>],
    inodes: &mut Inodes<'_>,
) -> Result<Identities, KernelError> {
    let binaries: Vec<&str> = wanted.iter().map(|w| w.binary).collect();
    let paths: Vec<&str> = binaries.iter().copied().filter(|b| b.starts_with('/')).collect();
    inodes.learn(&paths)?;
    let mut found = Identities::default();
    let mut problems = Vec::new();
    for (index, one_wanted) in wanted.iter().enumerate() {
        match one(index, *one_wanted, &binaries, inodes, &mut found) {
            Ok(()) => {}
            Err(Problem::Policy(what, hint)) => problems.push((what, hint)),
            Err(Problem::Kernel(error)) => return Err(error),
        }
    }
    // A name that is also the last part of a bound path would bind the same file twice.
    for name in found.names.keys() {
        let twin = binaries.iter().find(|b| b.contains('/') && b.rsplit('/').next() == Some(name));
        if let Some(twin) = twin {
            problems.push((
                format!(
                    "two policies for one binary: `{}` matches `{}` too",
                    shown(name),
                    shown(twin)
                ),
                "leave one of them, or give both their absolute paths".into(),
            ));
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(KernelError::Bind(problems))
    }
}

/// Adds the identities of the binary with this index.
fn one(
    index: usize,
    wanted: Wanted<'_>,
    all: &[&str],
    inodes: &mut Inodes<'_>,
    found: &mut Identities,
) -> Result<(), Problem> {
    let binary = wanted.binary;
    if !binary.contains('/') {
        if binary.len() > MAX_NAME {
            return Err(problem(
                format!(
                    "the file name `{}` has {} bytes, and no file's has more than {MAX_NAME}",
                    shown(binary),
                    binary.len()
                ),
                "write the executable's absolute path",
            ));
        }
        found.names.insert(binary.to_string(), index);
        return Ok(());
    }
    if !binary.starts_with('/') {
        return Err(problem(
            format!("the binary `{}` is a relative path", shown(binary)),
            "the kernel knows no working directory of a policy: write the absolute path",
        ));
    }
    let path = Path::new(binary);
    let unreadable = |e: std::io::Error| {
        problem(
            format!("cannot find the binary `{}`: {e}", shown(binary)),
            "the policy's `binary` must be a file of this machine; is the program installed?",
        )
    };
    let mut bind = |path: &Path| {
        let compared = path.as_os_str().len() <= MAX_PATH && path.iter().count() <= MAX_NAMES;
        if compared {
            found.paths.extend(keys_of(path).into_iter().map(|key| (key, index)));
        }
        compared
    };
    let opened = match open_path(path) {
        Err(e) if e.kind() == ErrorKind::NotFound && wanted.may_be_absent => {
            found.scripts.insert(index);
            return if bind(path) { Ok(()) } else { Err(too_long(path)) };
        }
        opened => opened.map_err(unreadable)?,
    };
    let (stat, regular) = Stat::of_open(&opened).map_err(unreadable)?;
    if !regular {
        return Err(problem(
            format!("the binary `{}` is not a regular file", shown(binary)),
            "write the path of an executable",
        ));
    }
    let script = is_script(&opened).map_err(unreadable)?;
    for spelling in spellings(path).map_err(unreadable)? {
        // A script is known by its path only.
        if !bind(&spelling) && script {
            return Err(too_long(&spelling));
        }
    }
    let first = if script {
        found.scripts.insert(index);
        found.script_files.insert(stat, index)
    } else {
        found.files.insert(inodes.of(path)?.map_err(unreadable)?, index)
    };
    if let Some(first) = first.and_then(|i| all.get(i)) {
        return Err(problem(
            format!(
                "two policies for one binary: `{}` and `{}` are the same file",
                shown(first),
                shown(binary)
            ),
            "leave one of them",
        ));
    }
    Ok(())
}

fn too_long(path: &Path) -> Problem {
    problem(
        format!(
            "the path `{}` has more than {MAX_PATH} bytes, or more than {MAX_NAMES} names",
            shown(&path)
        ),
        "a script, and what is not there yet, is known by its path: keep it at a shorter one",
    )
}

/// Whether an exec of a file runs an interpreter instead. The file is one that [`open_path`] has
/// found to be regular: opened by its descriptor it is the same file, whatever is at its path now.
fn is_script(file: &File) -> std::io::Result<bool> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // A lease of another process does not hold us up.
    let mut file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let mut head = [0; 2];
    match file.read_exact(&mut head) {
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| head == *b"#!"),
    }
}

/// The paths by which a binary is exec'd: the one in the policy, the canonical one, and that one
/// through the links in the root directory (`/bin` for `/usr/bin`).
fn spellings(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let canonical = fs::canonicalize(path)?;
    let mut all = vec![path.to_path_buf()];
    for link in fs::read_dir("/")?.flatten() {
        let link = link.path();
        if !link.is_symlink() {
            continue;
        }
        let Ok(target) = fs::canonicalize(&link) else { continue };
        if let Ok(rest) = canonical.strip_prefix(&target) {
            all.push(link.join(rest));
        }
    }
    all.push(canonical);
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_from_every_directory_on_it() {
        let keys = keys_of(Path::new("/usr/bin/cat"));
        let wanted: [&[u8]; 3] = [b"usr/bin/cat\0", b"bin/cat\0usr\0", b"cat\0bin\0usr\0"];
        assert_eq!(keys, wanted);
        assert_eq!(keys_of(Path::new("/init")), [b"init\0"]);
    }
}
