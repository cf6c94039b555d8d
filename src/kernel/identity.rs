//! Which file a policy means: what the kernel compares at an exec.

use super::inode::{FileId, Inodes, Stat};
use super::KernelError;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What the kernel's maps are to hold, each with the policy's place among all.
#[derive(Debug, Default)]
pub(super) struct Identities {
    pub binaries: BTreeMap<FileId, usize>,
    pub names: BTreeMap<String, usize>,
    /// A directory, and the path from there.
    pub scripts: BTreeMap<(FileId, Vec<u8>), usize>,
    /// The scripts' own files, for adoption.
    pub script_files: HashMap<Stat, usize>,
    /// The scripts' interpreters, for adoption.
    pub interpreters: HashSet<Stat>,
}

impl Identities {
    /// What is bound, a line each, so that it can be told whether the same would be bound again.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.binaries.iter().map(|bound| format!("{bound:?}")).collect();
        lines.extend(self.names.iter().map(|bound| format!("{bound:?}")));
        lines.extend(self.scripts.iter().map(|bound| format!("{bound:?}")));
        lines.extend(self.script_files.iter().map(|bound| format!("{bound:?}")));
        lines.extend(self.interpreters.iter().map(|bound| format!("{bound:?}")));
        lines.sort();
        lines
    }
}

/// `SYSFSM_NAME` and `SYSFSM_PATH`, with their zero.
const MAX_TEXT: usize = 255;

/// Why a policy cannot be bound.
enum Problem {
    /// A message and a hint.
    Policy(String, String),
    /// It could not be found out.
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

/// Finds the file of every policy's binary.
///
/// # Errors
/// Everything that cannot be bound, a message and a hint each.
pub(super) fn identify(binaries: &[&str], inodes: &mut Inodes<'_>) -> Result<Identities, KernelError> {
    let paths: Vec<&str> = binaries.iter().copied().filter(|b| b.starts_with('/')).collect();
    inodes.learn(&paths)?;
    let mut found = Identities::default();
    let mut problems = Vec::new();
    for (index, binary) in binaries.iter().enumerate() {
        match one(index, binary, binaries, inodes, &mut found) {
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
                format!("two policies for one binary: `{name}` matches `{twin}` too"),
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

fn one(
    index: usize,
    binary: &str,
    all: &[&str],
    inodes: &mut Inodes<'_>,
    found: &mut Identities,
) -> Result<(), Problem> {
    if !binary.contains('/') {
        if binary.len() > MAX_TEXT {
            return Err(problem(
                format!(
                    "the file name `{binary}` has {} bytes, and no file's has more than {MAX_TEXT}",
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
            format!("the binary `{binary}` is a relative path"),
            "the kernel knows no working directory of a policy: write the absolute path",
        ));
    }
    let path = Path::new(binary);
    let unreadable = |e: std::io::Error| {
        problem(
            format!("cannot find the binary `{binary}`: {e}"),
            "the policy's `binary` must be a file of this machine; is the program installed?",
        )
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(problem(
            format!("the binary `{binary}` is not a regular file"),
            "write the path of an executable",
        ));
    }
    let kind = kind(path).map_err(unreadable)?;
    let first = match kind {
        Kind::Program => found.binaries.insert(inodes.of(path)?.map_err(unreadable)?, index),
        Kind::Script(_) => found.script_files.insert(Stat::of(&metadata), index),
    };
    if let Some(first) = first.and_then(|i| all.get(i)) {
        return Err(problem(
            format!("two policies for one binary: `{first}` and `{binary}` are the same file"),
            "leave one of them",
        ));
    }
    if let Kind::Script(interpreter) = kind {
        found.interpreters.extend(interpreter);
        for spelling in spellings(path).map_err(unreadable)? {
            if spelling.as_os_str().len() > MAX_TEXT {
                return Err(problem(
                    format!("the path of the script `{}` has more than {MAX_TEXT} bytes", spelling.display()),
                    "a script is recognised by its path: keep it at a shorter one",
                ));
            }
            for directory in spelling.ancestors().skip(1) {
                let Ok(rest) = spelling.strip_prefix(directory) else { continue };
                let from = inodes.of(directory)?.map_err(unreadable)?;
                found.scripts.insert((from, rest.as_os_str().as_bytes().to_vec()), index);
            }
        }
    }
    Ok(())
}

/// What a file is to an exec.
enum Kind {
    Program,
    /// A script, with its interpreter's file, if that exists.
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
    let name = line.lines().next().unwrap_or_default().split_whitespace().next().unwrap_or_default();
    Ok(Kind::Script(fs::metadata(name).ok().map(|m| Stat::of(&m))))
}

/// The paths by which a script is exec'd, from the root or from a directory above it: the policy's own, the one
/// without links, and that one through the links of the root directory (`/bin` for `/usr/bin`).
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
