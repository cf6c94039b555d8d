//! Signal names as strace prints them, for the pseudo-symbols `@SIGNAME`.

/// The highest signal number of Linux on x86-64 (`_NSIG`).
pub const SIGNAL_MAX: u8 = 64;

/// The kernel's first real-time signal, from which strace counts `SIGRT_n`. The C library's
/// `SIGRTMIN` is a higher number, as it takes the first two for itself (signal(7)).
const REAL_TIME: u8 = 32;

/// Signals 1 to 31 of Linux on x86-64.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of a signal (`SIGUSR1`, `SIGRT_2`), or `None` outside 1 to [`SIGNAL_MAX`].
#[must_use]
pub fn signal_name(number: u8) -> Option<String> {
    match number {
        1..REAL_TIME => NAMES.get(usize::from(number) - 1).map(ToString::to_string),
        // strace's name of the first real-time signal (seen in 4.26 and 6.1), by which glibc
        // cancels threads.
        REAL_TIME => Some("SIGRTMIN".into()),
        33..=SIGNAL_MAX => Some(format!("SIGRT_{}", number - REAL_TIME)),
        _ => None,
    }
}

/// The number of a signal by its name. Other spellings that strace has used are understood too
/// (`SIGRT_0`, `SIGRTMAX`, `SIGIOT`, `SIGPOLL`, `SIGCLD`, `SIGUNUSED`).
#[must_use]
pub fn signal_number(name: &str) -> Option<u8> {
    if let Some(index) = NAMES.iter().position(|n| *n == name) {
        return u8::try_from(index + 1).ok();
    }
    let alias = match name {
        "SIGIOT" => "SIGABRT",
        "SIGPOLL" => "SIGIO",
        "SIGCLD" => "SIGCHLD",
        "SIGUNUSED" => "SIGSYS",
        "SIGRTMIN" | "SIGRT_0" => return Some(REAL_TIME),
        "SIGRTMAX" => return Some(SIGNAL_MAX),
        _ => {
            let digits = name.strip_prefix("SIGRT_")?;
            let canonical = !(digits.starts_with('0') || digits.starts_with('+'));
            let n: u8 = canonical.then(|| digits.parse().ok()).flatten()?;
            return n.checked_add(REAL_TIME).filter(|&n| n <= SIGNAL_MAX);
        }
    };
    signal_number(alias)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_inverse() {
        for n in 1..=SIGNAL_MAX {
            let name = signal_name(n).unwrap_or_default();
            assert_eq!(signal_number(&name), Some(n), "{name}");
        }
        assert_eq!(signal_name(0), None);
        assert_eq!(signal_name(65), None);
        assert_eq!(signal_name(10).as_deref(), Some("SIGUSR1"));
        assert_eq!(signal_name(34).as_deref(), Some("SIGRT_2"));
    }

    #[test]
    fn other_spellings_are_understood_and_nonsense_is_not() {
        assert_eq!(signal_number("SIGPOLL"), Some(29));
        assert_eq!(signal_number("SIGRTMIN"), Some(32));
        for odd in ["SIGRT_33", "SIGRT_-1", "SIGRT_01", "SIGRT_", "SIG", "USR1", "SIGUSR3"] {
            assert_eq!(signal_number(odd), None, "{odd}");
        }
    }
}
