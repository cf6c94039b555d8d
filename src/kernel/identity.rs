//! Which file a policy means: what the kernel compares at an exec.

use super::skeleton::types;
use crate::policy::Policy;
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file, as the kernel numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId {
    pub device: u32,
    pub inode: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        // The kernel's dev_t has 12 bits for the major and 20 for the minor (include/linux/kdev_t.h);
        // stat's is spread otherwise.
        let (major, minor) = (nix::sys::stat::major(metadata.dev()), nix::sys::stat::minor(metadata.dev()));
        let device = u32::try_from((major << 20) | (minor & 0xf_ffff)).unwrap_or(u32::MAX);
        FileId { device, inode: metadata.ino() }
    }

    pub(super) fn wire(self) -> types::sysfsm_file {
        types::sysfsm_file { inode: self.inode, device: self.device, pad: 0 }
    }
}

/// What the kernel's maps are to hold, each with the policy's place among all.
#[derive(Debug, Default)]
pub(super) struct Identities {
    pub binaries: BTreeMap<FileId, usize>,
    pub names: BTreeMap<String, usize>,
    /// A directory, and the path from there.
    pub scripts: BTreeMap<(FileId, Vec<u8>), usize>,
    /// The scripts' own files, for adoption.
    pub script_files: BTreeMap<FileId, usize>,
    /// The scripts' interpreters, for adoption.
    pub interpreters: Vec<FileId>,
}

/// `SYSFSM_NAME` and `SYSFSM_PATH`, with their zero.
const MAX_TEXT: usize = 255;

/// Finds every policy's file.
///
/// # Errors
/// Everything that cannot be bound, a message and a hint each.
pub(super) fn identify(policies: &[Policy]) -> Result<Identities, Vec<(String, String)>> {
    let mut found = Identities::default();
    let mut problems = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        if let Err(problem) = one(index, policy, policies, &mut found) {
            problems.push(problem);
        }
    }
    // A name that is also the last part of a bound path would bind the same file twice.
    for name in found.names.keys() {
        let twin =
            policies.iter().find(|p| p.binary.contains('/') && p.binary.rsplit('/').next() == Some(name));
        if let Some(twin) = twin {
            problems.push((
                format!("two policies for one binary: `{name}` matches `{}` too", twin.binary),
                "leave one of them, or give both their absolute paths".into(),
            ));
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

fn one(
    index: usize,
    policy: &Policy,
    all: &[Policy],
    found: &mut Identities,
) -> Result<(), (String, String)> {
    let binary = &policy.binary;
    if !binary.contains('/') {
        if binary.len() > MAX_TEXT {
            return Err((
                format!(
                    "the file name `{binary}` has {} bytes, and no file's has more than {MAX_TEXT}",
                    binary.len()
                ),
                "write the executable's absolute path".into(),
            ));
        }
        found.names.insert(binary.clone(), index);
        return Ok(());
    }
    if !binary.starts_with('/') {
        return Err((
            format!("the binary `{binary}` is a relative path"),
            "the kernel knows no working directory of a policy: write the absolute path".into(),
        ));
    }
    let unreadable = |e: std::io::Error| {
        (
            format!("cannot find the binary `{binary}`: {e}"),
            "the policy's `binary` must be a file of this machine; is the program installed?".to_string(),
        )
    };
    let metadata = fs::metadata(binary).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err((
            format!("the binary `{binary}` is not a regular file"),
            "write the path of an executable".into(),
        ));
    }
    let id = FileId::of(&metadata);
    let kind = kind(Path::new(binary)).map_err(unreadable)?;
    let first = match kind {
        Kind::Program => found.binaries.insert(id, index),
        Kind::Script(_) => found.script_files.insert(id, index),
    };
    if let Some(first) = first.and_then(|i| all.get(i)) {
        return Err((
            format!("two policies for one binary: `{}` and `{binary}` are the same file", first.binary),
            "leave one of them".into(),
        ));
    }
    if let Kind::Script(interpreter) = kind {
        found.interpreters.extend(interpreter);
        script_paths(index, Path::new(binary), found).map_err(unreadable)?;
        let canonical = fs::canonicalize(binary).map_err(unreadable)?;
        script_paths(index, &canonical, found).map_err(unreadable)?;
        if binary.len() > MAX_TEXT || canonical.as_os_str().len() > MAX_TEXT {
            return Err((
                format!("the path of the script `{binary}` has more than {MAX_TEXT} bytes"),
                "a script is recognised by its path: keep it at a shorter one".into(),
            ));
        }
    }
    Ok(())
}

/// What a file is to an exec.
enum Kind {
    Program,
    /// A script, with its interpreter's file, if that exists.
    Script(Option<FileId>),
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
    Ok(Kind::Script(fs::metadata(name).ok().map(|m| FileId::of(&m))))
}

/// A script by every path that an exec can give for it without links and `..`: from the root, and from each
/// directory above it as the working directory.
fn script_paths(index: usize, path: &Path, found: &mut Identities) -> std::io::Result<()> {
    for directory in path.ancestors().skip(1) {
        let Ok(rest) = path.strip_prefix(directory) else { continue };
        let rest = rest.as_os_str().as_bytes().to_vec();
        if rest.len() <= MAX_TEXT {
            found.scripts.insert((FileId::of(&fs::metadata(directory)?), rest), index);
        }
    }
    Ok(())
}
