//! The errors of the kernel layer, each with what to do about it.

use crate::kernel::level::Level;
use crate::ownership::{Flaw, Untrusted};
use crate::text::shown;
use std::io;
use std::path::PathBuf;

/// An error of the kernel layer.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The process may not load BPF programs: it lacks these capabilities.
    #[error("missing privilege: loading BPF programs needs {0}")]
    Privilege(&'static str),
    /// The kernel has no type information: this file is missing.
    #[error("the kernel has no BTF: `{0}` does not exist")]
    NoBtf(&'static str),
    /// The kernel refuses the programs.
    #[error("the kernel refuses the BPF programs: {cause}{}", indented(log))]
    Load {
        /// libbpf's error.
        cause: libbpf_rs::Error,
        /// libbpf's log.
        log: String,
    },
    /// A program cannot be attached.
    #[error("cannot attach `{program}`: {cause}{}", indented(log))]
    Attach {
        /// The program.
        program: &'static str,
        /// libbpf's error.
        cause: libbpf_rs::Error,
        /// libbpf's log.
        log: String,
    },
    /// A map does not take its entries.
    #[error("cannot fill the map `{map}` with {entries} entries: {cause}")]
    Fill {
        /// The map.
        map: &'static str,
        /// How many entries it was to take.
        entries: usize,
        /// libbpf's error.
        cause: libbpf_rs::Error,
    },
    /// A map cannot be read.
    #[error("cannot read the map `{map}`: {cause}")]
    Read {
        /// The map.
        map: &'static str,
        /// libbpf's error.
        cause: libbpf_rs::Error,
    },
    /// Policies or binaries that cannot be bound, a message and a hint each.
    #[error("{}", listed(.0))]
    Bind(Vec<(String, String)>),
    /// The level that can be reached is below the required one.
    #[error("this sysfsm reaches level `{reached}` here, and `{required}` is required")]
    Level {
        /// The level that can be reached.
        reached: Level,
        /// The level that is required.
        required: Level,
    },
    /// What an iterator's program writes cannot be read.
    #[error("cannot read what `{program}` finds: {cause}")]
    Iterate {
        /// The program.
        program: &'static str,
        /// The error of the read.
        cause: io::Error,
    },
    /// Running threads are not watched, for this reason.
    #[error("cannot adopt the running processes: {0}")]
    Adopt(String),
    /// A pinned object, or a directory of such, cannot be made, found or removed.
    #[error("cannot {what} `{}`: {cause}", shown(path))]
    Pin {
        /// What was to be done: a verb.
        what: &'static str,
        /// The path that it was to be done with.
        path: PathBuf,
        /// Why it cannot be done.
        cause: io::Error,
    },
    /// Others could change the directory of pins, or what its path leads to.
    #[error("{untrusted}")]
    Untrusted {
        /// What others could change.
        untrusted: Untrusted,
        /// Whether that is the directory of pins, or in it.
        inside: bool,
    },
    /// Another agent has the lock of this directory.
    #[error("another sysfsm is the agent of what is pinned in `{}`", shown(.0))]
    Agent(PathBuf),
    /// The manifest of a pinned set cannot be read.
    #[error("cannot read what is pinned: {0}")]
    Manifest(String),
    /// All policies are enforced, but cleaning up after the set before has failed.
    #[error("{0}")]
    NotCleared(Box<KernelError>),
    /// Policies were changed in place. Running threads that were under no policy may not have been
    /// adopted, and a new set, which would have done it, could not be loaded.
    #[error("{0}")]
    NotAdopted(Box<KernelError>),
    /// `/proc` cannot be read.
    #[error("cannot look for running processes in /proc: {0}")]
    Proc(io::Error),
    /// The child process that looks at running processes cannot be created.
    #[error("cannot create the child process that looks at running processes: {0}")]
    Child(io::Error),
}

impl KernelError {
    /// What to do about the error: a line, which is empty where the message has its own hints.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            KernelError::Privilege(_) => "run it as root: sudo sysfsm …".into(),
            KernelError::NoBtf(_) => {
                "boot a kernel with CONFIG_DEBUG_INFO_BTF=y (every stock kernel from 5.15 has it); is /sys mounted?".into()
            }
            KernelError::Load { .. } | KernelError::Attach { .. } => {
                "sysfsm needs Linux 5.15 or newer, without lockdown=confidentiality; `sysfsm doctor` tells what is missing".into()
            }
            KernelError::Fill { .. } => "memory, or a memory limit (cgroup, ulimit -l), may be too small for the policies".into(),
            KernelError::Adopt(_) => "try again; or begin before the programs start".into(),
            KernelError::Read { .. } | KernelError::Iterate { .. } => "this should not happen; please report it with `sysfsm doctor --json`".into(),
            KernelError::Bind(_) => String::new(),
            KernelError::Level { .. } => "`--require kill` accepts it knowingly: the violating call itself may still take effect".into(),
            KernelError::Pin { .. } => "the directory has to be in a bpf file system: mount -t bpf -o mode=0700 bpf /sys/fs/bpf; is there memory?".into(),
            KernelError::Untrusted { untrusted, inside } => match untrusted.flaw {
                // What another user has put there is not known.
                Flaw::Owner(_) | Flaw::Link if *inside => {
                    format!("remove it, and begin anew: rm -r {}", shown(&untrusted.path))
                }
                _ if *inside => format!("chmod 0700 {}", shown(&untrusted.path)),
                _ => untrusted.command(),
            },
            KernelError::Agent(_) => "end that one first, by SIGTERM: what it enforces goes on".into(),
            KernelError::Manifest(_) => "was it pinned by another version? `sysfsm stop` ends it all the same".into(),
            KernelError::NotCleared(error) | KernelError::NotAdopted(error) => error.hint(),
            KernelError::Child(_) => "is there memory, and is the limit of processes (ulimit -u, pids.max) reached?".into(),
            KernelError::Proc(_) => "mount /proc, or run outside of a sandbox that hides it".into(),
        }
    }
}

/// Messages with their hints, a line each.
fn listed(problems: &[(String, String)]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|(what, hint)| format!("{what}\nhint: {hint}")).collect();
    lines.join("\n")
}

/// The last lines of libbpf's log, indented.
fn indented(log: &str) -> String {
    // The verifier's reason is at the end.
    let lines: Vec<&str> = log.lines().collect();
    let skip = lines.len().saturating_sub(30);
    lines.iter().skip(skip).flat_map(|line| ["\n    ", line]).collect()
}
