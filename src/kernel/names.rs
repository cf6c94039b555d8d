//! The names of the programs that a recording meets: absolute paths.

use super::adopt::{exec_path, script_of};
use super::inode::{FileId, Inodes};
use super::skeleton::types;
use super::KernelError;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The programs' names, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub known: BTreeMap<u32, String>,
    /// What was met and has no name that leads to it: the path that the exec gave.
    pub nameless: BTreeMap<u32, String>,
}

/// What the kernel tells of a program that it has met for the first time.
#[derive(Debug)]
struct Meeting {
    number: u32,
    pid: u32,
    script: bool,
    /// The program's file; of a script the directory that its path counts from.
    from: FileId,
    path: PathBuf,
}

impl Meeting {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let meeting: &types::sysfsm_meeting = plain::from_bytes(bytes).ok()?;
        let path: Vec<u8> =
            meeting.path.iter().map(|&c| c.to_ne_bytes()[0]).take_while(|&c| c != 0).collect();
        Some(Meeting {
            number: meeting.program,
            pid: meeting.pid,
            script: meeting.script != 0,
            from: FileId::new(meeting.from.device, meeting.from.inode),
            path: PathBuf::from(OsStr::from_bytes(&path)),
        })
    }

    /// The path by which the program is known: the one that the exec gave, if it is absolute, as a log has it.
    fn name(&self, inodes: &mut Inodes<'_>) -> Result<Option<PathBuf>, KernelError> {
        // What fexecve(3) gives leads nowhere from outside of the process.
        let descriptor = self.path.starts_with("/dev/fd");
        if self.path.is_absolute() && !descriptor {
            return Ok(Some(self.path.clone()));
        }
        let process = Path::new("/proc").join(self.pid.to_string());
        if self.script {
            // It may have ended, and this process may be in the same directory.
            for directory in [process.join("cwd"), PathBuf::from(".")] {
                if inodes.of(&directory)?.is_ok_and(|found| found == self.from) {
                    return Ok(fs::canonicalize(&directory).ok().map(|d| clean(&d.join(&self.path))));
                }
            }
            return Ok(None);
        }
        let exe = process.join("exe");
        if inodes.of(&exe)?.is_ok_and(|found| found == self.from) {
            return Ok(exe_of(&process));
        }
        if !descriptor && inodes.of(&self.path)?.is_ok_and(|found| found == self.from) {
            return Ok(std::path::absolute(&self.path).ok().map(|path| clean(&path)));
        }
        Ok(None)
    }
}

impl Names {
    /// Takes in what the kernel tells. At once: the process may end any moment.
    pub(super) fn meet(&mut self, bytes: &[u8], inodes: &mut Inodes<'_>) -> Result<(), KernelError> {
        let Some(meeting) = Meeting::parse(bytes) else { return Ok(()) };
        match meeting.name(inodes)? {
            Some(name) => self.known.insert(meeting.number, name.to_string_lossy().into_owned()),
            None => self.nameless.insert(meeting.number, meeting.path.to_string_lossy().into_owned()),
        };
        Ok(())
    }
}

/// What a running process was exec'd as.
#[derive(Debug)]
pub(super) struct Running {
    pub name: String,
    /// Its executable; of a script the interpreter.
    pub exe: FileId,
    /// By what the kernel's side knows the program: a file, and, of a script, the path from the root directory.
    pub from: FileId,
    pub path: Vec<u8>,
}

/// Why a process cannot be recorded: a message and a hint.
type Refusal = (String, String);

/// Finds out what a running process is.
pub(super) fn running(pid: u32, inodes: &mut Inodes<'_>) -> Result<Result<Running, Refusal>, KernelError> {
    let process = Path::new("/proc").join(pid.to_string());
    if !process.exists() {
        let hint = "give the ids of running processes, as pgrep or ps tell them";
        return Ok(Err((format!("no process `{pid}`"), hint.into())));
    }
    let nothing =
        || (format!("process `{pid}` has no program"), "is it a thread of the kernel's?".to_string());
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
    fn a_clean_path_has_no_dots() {
        assert_eq!(clean(Path::new("/tmp/./x/.//y")), Path::new("/tmp/x/y"));
        let canonical = fs::canonicalize("/usr/bin").unwrap();
        assert_eq!(clean(Path::new("/usr/lib/../bin")), canonical);
        // What does not exist stays as it is.
        assert_eq!(clean(Path::new("/none/../such")), Path::new("/none/../such"));
    }
}
