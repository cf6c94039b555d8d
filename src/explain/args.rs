//! A call's argument registers by name, and the few values that mean something without the
//! program's memory.

use super::words;
use crate::syscall::signal_name;
use crate::text::UntrustedText;
use serde::Serialize;

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arg {
    /// What it is called; none for a call that is not known.
    pub name: Option<&'static str>,
    /// The register, as the violation had it.
    pub value: UntrustedText,
    /// The value's own name: `AF_INET`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<String>,
}

/// The arguments that a call has, out of its six registers.
pub(crate) fn decode(call: &str, registers: &[UntrustedText]) -> Vec<Arg> {
    let Some(names) = words::arguments(call) else {
        let unnamed = |value: &UntrustedText| Arg { name: None, value: value.clone(), means: None };
        return registers.iter().map(unnamed).collect();
    };
    names
        .zip(registers)
        .map(|(name, value)| Arg {
            name: Some(name),
            value: value.clone(),
            means: means(name, value.whole()),
        })
        .collect()
}

/// Values by the argument's name.
const VALUES: &[(&str, &[(u64, &str)])] = &[
    (
        "domain",
        &[
            (1, "AF_UNIX"),
            (2, "AF_INET"),
            (10, "AF_INET6"),
            (16, "AF_NETLINK"),
            (17, "AF_PACKET"),
            (38, "AF_ALG"),
            (40, "AF_VSOCK"),
        ],
    ),
    ("how", &[(0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK")]),
    (
        "whence",
        &[(0, "SEEK_SET"), (1, "SEEK_CUR"), (2, "SEEK_END"), (3, "SEEK_DATA"), (4, "SEEK_HOLE")],
    ),
    (
        "fcntl_cmd",
        &[
            (0, "F_DUPFD"),
            (1, "F_GETFD"),
            (2, "F_SETFD"),
            (3, "F_GETFL"),
            (4, "F_SETFL"),
            (5, "F_GETLK"),
            (6, "F_SETLK"),
            (7, "F_SETLKW"),
            (1030, "F_DUPFD_CLOEXEC"),
        ],
    ),
    (
        "option",
        &[
            (1, "PR_SET_PDEATHSIG"),
            (4, "PR_SET_DUMPABLE"),
            (15, "PR_SET_NAME"),
            (22, "PR_SET_SECCOMP"),
            (24, "PR_CAPBSET_DROP"),
            (36, "PR_SET_CHILD_SUBREAPER"),
            (38, "PR_SET_NO_NEW_PRIVS"),
        ],
    ),
    (
        "ptrace_request",
        &[
            (0, "PTRACE_TRACEME"),
            (1, "PTRACE_PEEKTEXT"),
            (4, "PTRACE_POKETEXT"),
            (16, "PTRACE_ATTACH"),
            (17, "PTRACE_DETACH"),
            (0x4206, "PTRACE_SEIZE"),
        ],
    ),
];

/// Flags by the argument's name: the bits that choose one of several, those choices, and the bits
/// of their own.
struct Flags {
    argument: &'static str,
    choice: u64,
    choices: &'static [(u64, &'static str)],
    bits: &'static [(u64, &'static str)],
}

const FLAGS: &[Flags] = &[
    Flags {
        argument: "oflag",
        choice: 3,
        choices: &[(0, "O_RDONLY"), (1, "O_WRONLY"), (2, "O_RDWR")],
        bits: &[
            (0o100, "O_CREAT"),
            (0o200, "O_EXCL"),
            (0o1000, "O_TRUNC"),
            (0o2000, "O_APPEND"),
            (0o4000, "O_NONBLOCK"),
            (0o20_0000, "O_DIRECTORY"),
            (0o40_0000, "O_NOFOLLOW"),
            (0o200_0000, "O_CLOEXEC"),
        ],
    },
    Flags {
        argument: "prot",
        choice: 0,
        choices: &[],
        bits: &[(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC")],
    },
    Flags {
        argument: "type",
        choice: 15,
        choices: &[(1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (5, "SOCK_SEQPACKET")],
        bits: &[(0o4000, "SOCK_NONBLOCK"), (0o200_0000, "SOCK_CLOEXEC")],
    },
];

/// What an argument's value means, where the register alone shows it.
fn means(name: &str, value: &str) -> Option<String> {
    let value = u64::from_str_radix(value.strip_prefix("0x")?, 16).ok()?;
    if let Some((_, values)) = VALUES.iter().find(|(argument, _)| *argument == name) {
        return values.iter().find(|(v, _)| *v == value).map(|(_, text)| (*text).into());
    }
    if let Some(flags) = FLAGS.iter().find(|flags| flags.argument == name) {
        return flags.spell(value);
    }
    // The kernel takes descriptors, signals and modes as ints, whatever the upper half of the
    // register holds.
    let low = value & 0xffff_ffff;
    match (name, low) {
        ("fd", 0) => Some("stdin".into()),
        ("fd", 1) => Some("stdout".into()),
        ("fd", 2) => Some("stderr".into()),
        ("fd", 0xffff_ffff) => Some("none".into()),
        ("dirfd", 0xffff_ff9c) => Some("AT_FDCWD".into()),
        ("sig", _) => u8::try_from(low).ok().and_then(signal_name),
        ("mode", _) => Some(format!("0{low:o}")),
        _ => None,
    }
}

impl Flags {
    /// All of a value's bits by name, or nothing.
    fn spell(&self, value: u64) -> Option<String> {
        let chosen = self.choices.iter().find(|(v, _)| *v == value & self.choice);
        if chosen.is_none() && !self.choices.is_empty() {
            return None;
        }
        let mut rest = value & !self.choice;
        let mut names: Vec<&str> = chosen.iter().map(|(_, name)| *name).collect();
        for (bit, name) in self.bits {
            if rest & bit != 0 {
                names.push(name);
                rest &= !bit;
            }
        }
        (rest == 0 && !names.is_empty()).then(|| names.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(call: &str, registers: &[&str]) -> Vec<String> {
        let registers: Vec<UntrustedText> = registers.iter().map(|&r| r.into()).collect();
        let one = |arg: Arg| {
            format!("{} {} {}", arg.name.unwrap_or("-"), arg.value, arg.means.unwrap_or_default())
        };
        decode(call, &registers).into_iter().map(|arg| one(arg).trim_end().to_string()).collect()
    }

    #[test]
    fn a_call_has_its_own_arguments_by_name_and_an_unknown_one_all_six() {
        let six = ["0x2", "0x80001", "0x0", "0x7", "0x8", "0x9"];
        assert_eq!(
            decoded("socket", &six),
            ["domain 0x2 AF_INET", "type 0x80001 SOCK_STREAM|SOCK_CLOEXEC", "protocol 0x0"]
        );
        assert_eq!(decoded("getpid", &six), Vec::<String>::new());
        assert_eq!(decoded("syscall_9999", &six).len(), 6);
        assert_eq!(decoded("socket", &[]), Vec::<String>::new());
    }

    #[test]
    fn what_means_something_without_memory_is_told_and_nothing_is_guessed() {
        assert_eq!(
            decoded("openat", &["0xffffff9c", "0x7ffd", "0x80241", "0x1a4"]),
            [
                "dirfd 0xffffff9c AT_FDCWD",
                "path 0x7ffd",
                "oflag 0x80241 O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC",
                "mode 0x1a4 0644"
            ]
        );
        assert_eq!(decoded("kill", &["0x2a", "0x9"]), ["pid 0x2a", "sig 0x9 SIGKILL"]);
        assert_eq!(
            decoded("mprotect", &["0x1", "0x2", "0x5"]),
            ["addr 0x1", "len 0x2", "prot 0x5 PROT_READ|PROT_EXEC"]
        );
        assert_eq!(
            decoded("socket", &["0xdead", "0xf", "0x0"]),
            ["domain 0xdead", "type 0xf", "protocol 0x0"]
        );
        assert_eq!(decoded("openat", &["garbage"]), ["dirfd garbage"]);
    }
}
