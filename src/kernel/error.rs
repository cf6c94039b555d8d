//! What can go wrong between here and the kernel.

use crate::kernel::level::Level;
use std::io;
use std::path::PathBuf;

/// An error of the kernel layer.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The process may not load BPF programs.
    #[error("missing privilege: loading BPF programs needs {0}")]
    Privilege(&'static str),
    /// The kernel carries no type information.
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
    /// A program does not attach.
    #[error("cannot attach `{program}`: {cause}{}", indented(log))]
    Attach {
        /// The program.
        program: &'static str,
        /// libbpf's error.
        cause: libbpf_rs::Error,
        /// libbpf's log.
        log: String,
    },
    /// An entry does not go into its map.
    #[error("cannot fill the map `{map}` with {entries} entries: {cause}")]
    Fill {
        /// The map.
        map: &'static str,
        /// How many entries it was to have.
        entries: usize,
        /// libbpf's error.
        cause: libbpf_rs::Error,
    },
    /// Reading events or totals failed.
    #[error("cannot read the map `{map}`: {cause}")]
    Read {
        /// The map.
        map: &'static str,
        /// libbpf's error.
        cause: libbpf_rs::Error,
    },
    /// What the policies bind cannot be bound: all of it, a message and a hint each.
    #[error("{}", listed(.0))]
    Bind(Vec<(String, String)>),
    /// The kernel's best level is below what the user requires.
    #[error("this sysfsm reaches level `{reached}` here, and `{required}` is required")]
    Level {
        /// What can be had.
        reached: Level,
        /// What was asked for.
        required: Level,
    },
    /// A program that goes over the kernel's objects cannot be read.
    #[error("cannot read what `{program}` finds: {cause}")]
    Iterate {
        /// The program.
        program: &'static str,
        /// The error of the read.
        cause: io::Error,
    },
    /// Running threads are left that are not watched.
    #[error("cannot adopt the running processes: {0}")]
    Adopt(String),
    /// Something cannot be pinned, found pinned, or unpinned.
    #[error("cannot {what} `{}`: {cause}", path.display())]
    Pin {
        /// What was to be done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Another agent is at work.
    #[error("another sysfsm attends to what is pinned in `{}`", .0.display())]
    Agent(PathBuf),
    /// What a pinned set says of itself is not understood.
    #[error("cannot read what is pinned: {0}")]
    Manifest(String),
    /// Something that is left to do when all of it is enforced.
    #[error("{0}")]
    Late(Box<KernelError>),
    /// Policies were changed in place, but what ran before under none of them was not adopted, nor
    /// a set of their own loaded.
    #[error("{0}")]
    Between(Box<KernelError>),
    /// `/proc` cannot be read.
    #[error("cannot look for running processes in /proc: {0}")]
    Proc(io::Error),
}

impl KernelError {
    /// What to do about it.
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
            KernelError::Pin { .. } => "the directory has to be in a bpf file system: mount -t bpf bpf /sys/fs/bpf; is there memory?".into(),
            KernelError::Agent(_) => "end that one first, by SIGTERM: what it enforces goes on".into(),
            KernelError::Manifest(_) => "was it pinned by another version? `sysfsm stop` ends it all the same".into(),
            KernelError::Late(error) | KernelError::Between(error) => error.hint(),
            KernelError::Proc(_) => "mount /proc, or run outside of a sandbox that hides it".into(),
        }
    }
}

/// Messages with their hints, the last hint left to the caller's own line.
fn listed(problems: &[(String, String)]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|(what, hint)| format!("{what}\nhint: {hint}")).collect();
    lines.join("\n")
}

fn indented(log: &str) -> String {
    // The verifier says at the end what it did not like.
    let lines: Vec<&str> = log.lines().collect();
    let skip = lines.len().saturating_sub(30);
    lines.iter().skip(skip).flat_map(|line| ["\n    ", line]).collect()
}
