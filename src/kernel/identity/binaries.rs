//! Which files the binaries of policies are: what the kernel compares at an exec.

use crate::kernel::bpf::skeleton::types::sysfsm_limit as Limit;
use crate::kernel::error::KernelError;
use crate::kernel::identity::inode::{FileId, Inodes, Stat};
use crate::text::shown;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt;
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
    /// The files of scripts, for adoption.
    pub script_files: HashMap<Stat, usize>,
    /// The interpreters of scripts, for adoption.
    pub interpreters: HashSet<Stat>,
}

impl Identities {
    /// The binary with this path, as the process that runs it sees it from its root directory.
    pub(crate) fn at(&self, path: &Path) -> Option<usize> {
        let key = keys_of(path).pop()?;
        self.paths.get(&key).copied()
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
    let metadata = match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound && wanted.may_be_absent => {
            return if bind(path) { Ok(()) } else { Err(too_long(path)) };
        }
        metadata => metadata.map_err(unreadable)?,
    };
    if !metadata.is_file() {
        return Err(problem(
            format!("the binary `{}` is not a regular file", shown(binary)),
            "write the path of an executable",
        ));
    }
    let kind = kind(path).map_err(unreadable)?;
    for spelling in spellings(path).map_err(unreadable)? {
        // A script is known by its path only.
        if !bind(&spelling) && matches!(kind, Kind::Script(_)) {
            return Err(too_long(&spelling));
        }
    }
    let first = match kind {
        Kind::Program => found.files.insert(inodes.of(path)?.map_err(unreadable)?, index),
        Kind::Script(_) => found.script_files.insert(Stat::of(&metadata), index),
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
    if let Kind::Script(interpreter) = kind {
        found.interpreters.extend(interpreter);
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

/// What an exec makes of a file.
enum Kind {
    Program,
    /// A script. Its interpreter's file, if that exists.
    Script(Option<Stat>),
}

fn kind(path: &Path) -> std::io::Result<Kind> {
    let mut head = Vec::new();
    // The kernel looks at the first 256 bytes (BINPRM_BUF_SIZE).
    File::open(path)?.take(256).read_to_end(&mut head)?;
    let Some(line) = head.strip_prefix(b"#!") else {
        return Ok(Kind::Program);
    };
    let line = String::from_utf8_lossy(line);
    let name =
        line.lines().next().unwrap_or_default().split_whitespace().next().unwrap_or_default();
    Ok(Kind::Script(fs::metadata(name).ok().map(|m| Stat::of(&m))))
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
