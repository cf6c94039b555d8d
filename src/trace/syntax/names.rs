//! The names that strace gives calls → their numbers.

use super::scan::number;
use crate::syscall;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// A call of the 64-bit table.
    Number(u32),
    /// A name that only the 32-bit table has.
    Only32,
    /// A name that no table has.
    Unknown,
}

/// An upper bound of the numbers that Linux has given.
const HIGHEST: u32 = 1024;
/// The size of the hash table: a power of two, a few times the number of names.
const SLOTS: usize = 2048;

/// A hash table of all names. A look-up allocates nothing and mostly needs one comparison.
pub(crate) struct NameTable {
    slots: Vec<Option<Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: &'static str,
    number: u32,
    ends: Ends,
}

/// The first eight bytes of a name and the last eight. Most names are no longer than both together.
/// Of a name of four to seven bytes: the first four and the last four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends(u64, u64);

impl Ends {
    fn of(name: &[u8]) -> Self {
        let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            return Ends(u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        }
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            return Ends(half(first), half(last));
        }
        Ends(name.iter().fold(0, |word, &b| word << 8 | u64::from(b)), 0)
    }

    /// The slots to try, one after another.
    fn probe(self, length: usize) -> impl Iterator<Item = usize> {
        let mixed =
            (self.0 ^ self.1.rotate_left(29) ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let at = usize::try_from(mixed >> 48).unwrap_or_default();
        (0..SLOTS).map(move |step| at.wrapping_add(step) & (SLOTS - 1))
    }
}

impl NameTable {
    pub(crate) fn new() -> Self {
        let mut names = NameTable { slots: vec![None; SLOTS] };
        for number in 0..HIGHEST {
            if let Some(name) = syscall::name(number) {
                names.add(name, number);
            }
        }
        // Names of strace's table that the header does not have.
        for (alias, name) in ALIASES {
            if let Some(number) = syscall::number(name)
                && names.find(alias.as_bytes()).is_none()
            {
                names.add(alias, number);
            }
        }
        names
    }

    fn add(&mut self, name: &'static str, number: u32) {
        let ends = Ends::of(name.as_bytes());
        let free = ends.probe(name.len()).find(|&at| matches!(self.slots.get(at), Some(None)));
        if let Some(slot) = free.and_then(|at| self.slots.get_mut(at)) {
            *slot = Some(Entry { name, number, ends });
        }
    }

    /// The number of a name, if the table has the name.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        let ends = Ends::of(name);
        for at in ends.probe(name.len()) {
            match self.slots.get(at) {
                Some(Some(entry)) if entry.is(name, ends) => return Some(entry.number),
                Some(Some(_)) => {}
                _ => return None,
            }
        }
        None
    }

    /// What a name stands for.
    pub(crate) fn look_up(&self, name: &[u8]) -> Named {
        match self.find(name).or_else(|| raw(name)) {
            Some(number) => Named::Number(number),
            None if ONLY_32.binary_search_by(|n| n.as_bytes().cmp(name)).is_ok() => Named::Only32,
            None => Named::Unknown,
        }
    }

    /// The position of the longest name with which `text` ends. The program's own output may stand
    /// right before a call.
    pub(crate) fn suffix(&self, text: &[u8]) -> Option<usize> {
        let first = text.len().saturating_sub(32);
        (first..text.len()).find(|&at| text.get(at..).is_some_and(|name| self.find(name).is_some()))
    }
}

impl Entry {
    fn is(&self, name: &[u8], ends: Ends) -> bool {
        const COVERED: usize = 16;
        self.ends == ends
            && self.name.len() == name.len()
            && (name.len() <= COVERED || self.name.as_bytes() == name)
    }
}

/// The number of a call that strace has no name for: `syscall_0x1ce`, in older versions
/// `syscall_462`, before that `SYS_462`. The kernel takes the low 32 bits.
fn raw(name: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(b"syscall_").or_else(|| name.strip_prefix(b"SYS_"))?;
    let all_hex = digits.strip_prefix(b"0x").is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit));
    if !(all_hex || digits.iter().all(u8::is_ascii_digit)) {
        return None;
    }
    u32::try_from(number(digits)? & u64::from(u32::MAX)).ok()
}

/// Names that strace's x86-64 table once had, each with the header's name.
const ALIASES: [(&str, &str); 7] = [
    ("_exit", "exit"),             // up to 4.5
    ("paccept", "accept4"),        // 4.5.17
    ("pread", "pread64"),          // up to 4.20
    ("pwrite", "pwrite64"),        // up to 4.20
    ("sysctl", "_sysctl"),         // up to 4.5
    ("timerfd", "timerfd_create"), // 4.5.17
    ("umount", "umount2"),         // up to 4.6
];

/// Names that the 32-bit table has and the 64-bit one has not, sorted.
const ONLY_32: [&str; 86] = [
    "_llseek",
    "_newselect",
    "bdflush",
    "break",
    "chown32",
    "clock_adjtime64",
    "clock_getres_time64",
    "clock_gettime64",
    "clock_nanosleep_time64",
    "clock_settime64",
    "fadvise64_64",
    "fchown32",
    "fcntl64",
    "fstat64",
    "fstatat64",
    "fstatfs64",
    "ftime",
    "ftruncate64",
    "futex_time64",
    "getegid32",
    "geteuid32",
    "getgid32",
    "getgroups32",
    "getresgid32",
    "getresuid32",
    "getuid32",
    "gtty",
    "idle",
    "io_pgetevents_time64",
    "ipc",
    "lchown32",
    "lock",
    "lstat64",
    "mmap2",
    "mpx",
    "mq_timedreceive_time64",
    "mq_timedsend_time64",
    "nice",
    "oldfstat",
    "oldlstat",
    "oldolduname",
    "oldstat",
    "olduname",
    "ppoll_time64",
    "prof",
    "profil",
    "pselect6_time64",
    "readdir",
    "recvmmsg_time64",
    "rt_sigtimedwait_time64",
    "sched_rr_get_interval_time64",
    "semtimedop_time64",
    "sendfile64",
    "setfsgid32",
    "setfsuid32",
    "setgid32",
    "setgroups32",
    "setregid32",
    "setresgid32",
    "setresuid32",
    "setreuid32",
    "setuid32",
    "sgetmask",
    "sigaction",
    "signal",
    "sigpending",
    "sigprocmask",
    "sigreturn",
    "sigsuspend",
    "socketcall",
    "ssetmask",
    "stat64",
    "statfs64",
    "stime",
    "stty",
    "timer_gettime64",
    "timer_settime64",
    "timerfd_gettime64",
    "timerfd_settime64",
    "truncate64",
    "ugetrlimit",
    "ulimit",
    "utimensat_time64",
    "vm86",
    "vm86old",
    "waitpid",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_is_found() {
        let names = NameTable::new();
        let mut count = 0;
        for number in 0..HIGHEST {
            if let Some(name) = syscall::name(number) {
                assert_eq!(names.look_up(name.as_bytes()), Named::Number(number));
                count += 1;
            }
        }
        assert!(count > 300 && count * 2 < SLOTS);
    }

    #[test]
    fn numbers_aliases_and_32_bit_names() {
        let names = NameTable::new();
        let look = |n: &str| names.look_up(n.as_bytes());
        assert_eq!(look("syscall_0x1ce"), Named::Number(462));
        assert_eq!(look("syscall_462"), Named::Number(462));
        assert_eq!(look("SYS_462"), Named::Number(462));
        assert_eq!(look("syscall_0xffffffffffffffff"), Named::Number(4_294_967_295));
        assert_eq!(look("syscall_18446744073709551615"), Named::Number(4_294_967_295));
        assert_eq!(look("pread"), Named::Number(17));
        assert_eq!(look("umount"), Named::Number(166));
        assert_eq!(look("_exit"), Named::Number(60));
        for name in [
            "mmap2",
            "_llseek",
            "socketcall",
            "waitpid",
            "stat64",
            "fcntl64",
            "sigreturn",
            "getuid32",
        ] {
            assert_eq!(look(name), Named::Only32, "{name}");
        }
        for name in
            ["", "frobnicate", "syscall_", "syscall_x", "syscall_0x", "SYS_-1", "syscall_1x"]
        {
            assert_eq!(look(name), Named::Unknown, "{name}");
        }
        assert!(ONLY_32.is_sorted());
        assert_eq!(names.suffix(b"hello worldpwrite64"), Some(11));
        assert_eq!(names.suffix(b"hello"), None);
    }
}
