//! The names of the programs that a recording sees: absolute paths.

use crate::kernel::bpf::skeleton::types::{self, sysfsm_path_origin as Origin};
use crate::kernel::error::KernelError;
use crate::kernel::identity::inode::{FileId, Inodes};
use crate::kernel::identity::processes::{exec_path, script_of};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The programs' names, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub known: BTreeMap<u32, String>,
    /// What was met and has no name that leads to it: the path that the exec gave.
    pub nameless: BTreeMap<u32, String>,
}

impl Names {
    /// Takes in a program that the kernel has seen for the first time (`struct
    /// sysfsm_new_program_event`).
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let Ok(event) = plain::from_bytes::<types::sysfsm_new_program_event>(bytes) else { return };
        let path: Vec<u8> = text(&event.path).take_while(|&byte| byte != 0).collect();
        let names: Vec<u8> = text(&event.names.text).take(event.names.length as usize).collect();
        let given = PathBuf::from(OsStr::from_bytes(&path));
        let name = match Origin(event.path_origin) {
            Origin::SYSFSM_PATH_GIVEN => Some(given.clone()),
            Origin::SYSFSM_PATH_FOUND => Some(down(&names)),
            Origin::SYSFSM_PATH_BELOW => Some(clean(&down(&names).join(&given))),
            _ => None,
        };
        match name {
            Some(name) => self.known.insert(event.program, name.to_string_lossy().into_owned()),
            None => self.nameless.insert(event.program, given.to_string_lossy().into_owned()),
        };
    }
}

fn text(from: &[i8]) -> impl Iterator<Item = u8> + '_ {
    from.iter().map(|c| c.to_ne_bytes()[0])
}

/// The path whose names, each with a zero, go up to the root.
fn down(names: &[u8]) -> PathBuf {
    let mut path = PathBuf::from("/");
    path.extend(
        names.split(|&byte| byte == 0).rev().map(OsStr::from_bytes).filter(|name| !name.is_empty()),
    );
    path
}

/// What a running process was exec'd as.
#[derive(Debug)]
pub(crate) struct Running {
    pub name: String,
    /// Its executable; of a script the interpreter.
    pub exe: FileId,
    /// By what the kernel's side knows the program: a file, and, of a script, the path from the
    /// root directory.
    pub from: FileId,
    pub path: Vec<u8>,
}

/// Why a process cannot be recorded: a message and a hint.
type Refusal = (String, String);

/// Finds out what a running process is.
pub(crate) fn running(
    pid: u32,
    inodes: &mut Inodes<'_>,
) -> Result<Result<Running, Refusal>, KernelError> {
    let process = Path::new("/proc").join(pid.to_string());
    if !process.exists() {
        let hint = "give the ids of running processes, as pgrep or ps tell them";
        return Ok(Err((format!("no process `{pid}`"), hint.into())));
    }
    let nothing = || {
        (format!("process `{pid}` has no program"), "is it a thread of the kernel's?".to_string())
    };
    let (Some(target), Ok(exe)) = (exe_of(&process), inodes.of(&process.join("exe"))?) else {
        return Ok(Err(nothing()));
    };
    let given = exec_path(&process);
    if let Some(given) = given.as_deref().filter(|path| script_of(&process, path).is_some()) {
        let cwd = fs::canonicalize(process.join("cwd")).unwrap_or_default();
        let name = clean(&cwd.join(given));
        let Ok(from) = inodes.of(&process.join("root"))? else { return Ok(Err(nothing())) };
        let path = name.strip_prefix("/").unwrap_or(&name).as_os_str().as_bytes().to_vec();
        return Ok(Ok(Running { name: name.to_string_lossy().into_owned(), exe, from, path }));
    }
    let mut name = target;
    if let Some(given) = given.filter(|path| path.is_absolute()) {
        if inodes.of(&given)?.is_ok_and(|found| found == exe) {
            name = given;
        }
    }
    Ok(Ok(Running { name: name.to_string_lossy().into_owned(), exe, from: exe, path: Vec::new() }))
}

/// The executable's path, as the kernel tells it.
fn exe_of(process: &Path) -> Option<PathBuf> {
    let target = fs::read_link(process.join("exe")).ok()?;
    let bytes = target.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}

/// Without `.`; one with `..` becomes the path that it leads to.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    if path.components().any(|c| c == Component::ParentDir) {
        if let Ok(path) = fs::canonicalize(path) {
            return path;
        }
    }
    path.components().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_go_up_and_a_path_goes_down() {
        assert_eq!(down(b"cat\0bin\0usr\0"), Path::new("/usr/bin/cat"));
        assert_eq!(down(b""), Path::new("/"));
    }

    #[test]
    fn a_clean_path_has_no_dots() {
        assert_eq!(clean(Path::new("/tmp/./x/.//y")), Path::new("/tmp/x/y"));
        let canonical = fs::canonicalize("/usr/bin").unwrap();
        assert_eq!(clean(Path::new("/usr/lib/../bin")), canonical);
        // What does not exist stays as it is.
        assert_eq!(clean(Path::new("/none/../such")), Path::new("/none/../such"));
    }
}
