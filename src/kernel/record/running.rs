//! Running processes that are to be recorded, and their programs.

use crate::kernel::error::KernelError;
use crate::kernel::identity::binaries::index_of;
use crate::kernel::identity::inode::{FileId, Inodes};
use crate::kernel::identity::lookups::{look_up, Found, Lookup};
use crate::kernel::identity::processes::{given_paths, Candidate, Process};
use crate::kernel::record::names::clean;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The processes that are to be recorded.
#[derive(Default)]
pub(crate) struct Processes {
    /// The processes, to be adopted.
    pub candidates: Vec<Candidate>,
    /// Their programs, each once. The number of a program is its index and one.
    pub programs: Vec<Running>,
}

impl Processes {
    /// Finds the processes with these ids.
    ///
    /// # Errors
    /// [`KernelError::Bind`] with every process that cannot be recorded, or the kernel cannot be
    /// asked for files.
    pub(crate) fn find(pids: &[u32], inodes: &mut Inodes<'_>) -> Result<Self, KernelError> {
        let mut found = Processes::default();
        let mut problems = Vec::new();
        for &pid in pids {
            if pid == std::process::id() {
                problems.push((
                    format!("process `{pid}` is this one"),
                    "it cannot record itself".into(),
                ));
                continue;
            }
            let process = match running(pid, inodes)? {
                Ok(process) => process,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            let exe = process.exe;
            let same = |p: &Running| (p.from, &p.path) == (process.from, &process.path);
            let program = found.programs.iter().position(same).unwrap_or(found.programs.len());
            if program == found.programs.len() {
                found.programs.push(process);
            }
            found.candidates.push(Candidate { pid, exe, binary: Some(index_of(program)) });
        }
        if problems.is_empty() {
            Ok(found)
        } else {
            Err(KernelError::Bind(problems))
        }
    }
}

/// The program of a running process.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its path.
    pub name: String,
    /// The file that the process runs: of a script, its interpreter.
    pub exe: FileId,
    /// The first part of the program's key (`struct sysfsm_script`): its file; of a script, the
    /// root directory.
    pub from: FileId,
    /// The second part of the key: of a script, the path from the root directory.
    pub path: Vec<u8>,
}

/// Why a process cannot be recorded: a message and a hint.
type Refusal = (String, String);

/// Finds the program of a running process. The inner error says why there is none.
///
/// # Errors
/// The kernel cannot be asked for files.
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
    let Some(process) = Process::read(pid, process) else { return Ok(Err(nothing())) };
    let Ok(exe) = inodes.of(&process.directory.join("exe"))? else { return Ok(Err(nothing())) };
    let processes = [process];
    let given = given_paths(&processes)?.into_iter().next().flatten();
    let [process] = processes;
    let mut name = process.exe_path.clone();
    if let Some(given) = given {
        // As the process sees the path, and as we do.
        let lookups = [process.lookup(&given), Lookup::file(Path::new("/"), &given)];
        let lookups: Vec<Lookup> = lookups.into_iter().flatten().collect();
        let found = look_up(&lookups).map_err(KernelError::Child)?;
        let mut found = found.iter().map(Option::as_ref);
        if process.interprets(found.next().flatten()) {
            let name = clean(&process.absolute(&given).unwrap_or(given));
            let root = inodes.of(&process.directory.join("root"))?;
            let Ok(from) = root else { return Ok(Err(nothing())) };
            let path = name.strip_prefix("/").unwrap_or(&name).as_os_str().as_bytes().to_vec();
            return Ok(Ok(Running { name: name.to_string_lossy().into_owned(), exe, from, path }));
        }
        let here = found.next().flatten();
        let same = matches!(here, Some(Found::File { file, .. }) if *file == process.exe);
        if given.is_absolute() && same {
            name = given;
        }
    }
    Ok(Ok(Running { name: name.to_string_lossy().into_owned(), exe, from: exe, path: Vec::new() }))
}
