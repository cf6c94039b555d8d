//! The table of system calls: name ↔ number, and the call of a kernel's function.

use std::fmt;

include!(concat!(env!("OUT_DIR"), "/syscall_table.rs"));

/// The name of a call, or `None` for a number that the table does not have.
#[must_use]
pub fn name(number: u32) -> Option<&'static str> {
    let index = CALLS.binary_search_by_key(&number, |&(n, ..)| n).ok()?;
    CALLS.get(index).map(|&(_, name, _)| name)
}

/// The call of a kernel's function, which is named without `__x64_sys_`; `None` for a function that
/// the table does not have.
#[must_use]
pub fn of_function(function: &str) -> Option<&'static str> {
    CALLS.iter().find(|row| row.2 == function).map(|&(_, name, _)| name)
}

/// The number of a call by its name, or by the form `syscall_N` for any number.
#[must_use]
pub fn number(name: &str) -> Option<u32> {
    let found =
        BY_NAME.binary_search_by(|&i| CALLS.get(usize::from(i)).map_or("", |c| c.1).cmp(name));
    if let Ok(at) = found {
        return BY_NAME.get(at).and_then(|&i| CALLS.get(usize::from(i))).map(|c| c.0);
    }
    let digits = name.strip_prefix("syscall_")?;
    // A number has one spelling, without a sign or a leading zero. So two keys of a policy never
    // name one call.
    let canonical = digits == "0" || !(digits.starts_with('0') || digits.starts_with('+'));
    canonical.then(|| digits.parse().ok()).flatten()
}

/// All names of the table, by number.
pub fn names() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|&(_, name, _)| name)
}

/// Displays a call's number as its name, or as `syscall_N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallName(pub u32);

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "syscall_{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_inverse_over_the_whole_table() {
        assert!(CALLS.len() > 380);
        for &(n, text, of_kernel) in CALLS {
            assert_eq!(of_function(of_kernel), Some(text), "{of_kernel}");
            assert_eq!(name(n), Some(text));
            assert_eq!(number(text), Some(n));
        }
    }

    #[test]
    fn the_newest_calls_are_known_whatever_header_there_is() {
        for (n, text) in [(454, "futex_wake"), (469, "file_setattr"), (472, "fchroot")] {
            assert_eq!(number(text), Some(n));
        }
        assert_eq!(of_function("umount"), Some("umount2"));
        assert_eq!(of_function("umount2"), None);
    }

    #[test]
    fn an_unknown_number_has_one_spelling() {
        assert_eq!(CallName(100_000).to_string(), "syscall_100000");
        assert_eq!(number("syscall_100000"), Some(100_000));
        for odd in [
            "syscall_",
            "syscall_+5",
            "syscall_007",
            "syscall_-1",
            "syscall_0x10",
            "syscall_99999999999",
            "nope",
        ] {
            assert_eq!(number(odd), None, "{odd}");
        }
    }

    #[test]
    fn the_numbers_that_the_semantics_know_are_the_headers() {
        use crate::syscall::nr;
        for (n, text) in [
            (nr::MMAP, "mmap"),
            (nr::BRK, "brk"),
            (nr::RT_SIGACTION, "rt_sigaction"),
            (nr::RT_SIGRETURN, "rt_sigreturn"),
            (nr::CLONE, "clone"),
            (nr::FORK, "fork"),
            (nr::VFORK, "vfork"),
            (nr::EXECVE, "execve"),
            (nr::EXIT, "exit"),
            (nr::RESTART_SYSCALL, "restart_syscall"),
            (nr::EXIT_GROUP, "exit_group"),
            (nr::EXECVEAT, "execveat"),
            (nr::URETPROBE, "uretprobe"),
            (nr::UPROBE, "uprobe"),
            (nr::CLONE3, "clone3"),
        ] {
            assert_eq!(number(text), Some(n));
        }
    }
}
