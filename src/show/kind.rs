//! What a call is about. For the eye only: colours and groups; nothing is judged by it.

use crate::machine::Context;
use crate::syscall::{name, Symbol};

/// A kind of call, in the order in which they stand around the ring and along the axes of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Threads, programs, scheduling, limits.
    Processes,
    /// The address space.
    Memory,
    /// Users, groups, capabilities, keys.
    Identity,
    /// The machine as a whole, and what is not known.
    System,
    /// Clocks and timers.
    Time,
    /// Signals, and the frames of their handlers.
    Signals,
    /// Waiting for several things at once, or for another thread.
    Waiting,
    /// Sockets.
    Network,
    /// Pipes, queues, semaphores, shared memory.
    Ipc,
    /// Files and folders, and whatever else has a descriptor.
    Files,
}

impl Kind {
    /// Every kind, in order.
    pub(super) const ALL: [Kind; 10] = [
        Kind::Processes,
        Kind::Memory,
        Kind::Identity,
        Kind::System,
        Kind::Time,
        Kind::Signals,
        Kind::Waiting,
        Kind::Network,
        Kind::Ipc,
        Kind::Files,
    ];

    /// Its name: in legends, as a class of elements, and after `kind:` in a search.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Processes => "processes",
            Kind::Memory => "memory",
            Kind::Identity => "identity",
            Kind::System => "system",
            Kind::Time => "time",
            Kind::Signals => "signals",
            Kind::Waiting => "waiting",
            Kind::Network => "network",
            Kind::Ipc => "ipc",
            Kind::Files => "files",
        }
    }

    /// The colour of its nodes in Graphviz, which knows no style sheet: a pale one, black can be
    /// read on it.
    pub(super) fn pale(self) -> &'static str {
        match self {
            Kind::Processes => "#f6cdd2",
            Kind::Memory => "#c9e8d5",
            Kind::Identity => "#e8dcc4",
            Kind::System => "#dfe2e6",
            Kind::Time => "#c5e7e8",
            Kind::Signals => "#fbdcbd",
            Kind::Waiting => "#ddd0f5",
            Kind::Network => "#c9dff8",
            Kind::Ipc => "#f2cfec",
            Kind::Files => "#ece5b5",
        }
    }

    /// The kind of a state: that of its newest symbol.
    pub(super) fn of_context(context: &Context) -> Kind {
        context.last().map_or(Kind::System, Kind::of)
    }

    /// The kind of a symbol.
    pub(super) fn of(symbol: Symbol) -> Kind {
        match symbol {
            Symbol::Signal(_) => Kind::Signals,
            Symbol::Call(number) => name(number).map_or(Kind::System, Kind::of_name),
        }
    }

    #[rustfmt::skip] // As a table it can be read.
    fn of_name(name: &str) -> Kind {
        match name {
            "clone" | "clone3" | "fork" | "vfork" | "execve" | "execveat" | "exit" | "exit_group" | "wait4" | "waitid"
            | "set_tid_address" | "set_robust_list" | "get_robust_list" | "rseq" | "arch_prctl" | "prctl" | "ptrace"
            | "getpid" | "gettid" | "getppid" | "getpgrp" | "getpgid" | "setpgid" | "getsid" | "setsid" | "personality"
            | "getpriority" | "setpriority" | "getrlimit" | "setrlimit" | "prlimit64" | "getrusage" | "getcpu"
            | "unshare" | "setns" | "pidfd_open" | "pidfd_getfd" | "process_vm_readv" | "process_vm_writev" | "kcmp"
            | "set_thread_area" | "get_thread_area" | "modify_ldt" | "membarrier" | "ioprio_get" | "ioprio_set"
            | "seccomp" | "vhangup" => Kind::Processes,
            "mmap" | "mprotect" | "munmap" | "brk" | "mremap" | "msync" | "mincore" | "madvise" | "mlock" | "mlock2"
            | "munlock" | "mlockall" | "munlockall" | "remap_file_pages" | "mbind" | "set_mempolicy"
            | "get_mempolicy" | "set_mempolicy_home_node" | "migrate_pages" | "move_pages" | "memfd_create"
            | "memfd_secret" | "pkey_mprotect" | "pkey_alloc" | "pkey_free" | "process_madvise" | "process_mrelease"
            | "userfaultfd" | "cachestat" | "map_shadow_stack" | "mseal" => Kind::Memory,
            "getuid" | "geteuid" | "getgid" | "getegid" | "setuid" | "setgid" | "setreuid" | "setregid" | "getresuid"
            | "setresuid" | "getresgid" | "setresgid" | "setfsuid" | "setfsgid" | "getgroups" | "setgroups"
            | "capget" | "capset" | "add_key" | "request_key" | "keyctl" | "landlock_create_ruleset"
            | "landlock_add_rule" | "landlock_restrict_self" => Kind::Identity,
            "time" | "gettimeofday" | "settimeofday" | "times" | "nanosleep" | "alarm" | "adjtimex" | "getitimer"
            | "setitimer" => Kind::Time,
            "kill" | "tkill" | "tgkill" | "pause" | "sigaltstack" | "pidfd_send_signal" => Kind::Signals,
            "poll" | "ppoll" | "select" | "pselect6" => Kind::Waiting,
            "socket" | "socketpair" | "connect" | "accept" | "accept4" | "bind" | "listen" | "shutdown" | "sendto"
            | "recvfrom" | "sendmsg" | "recvmsg" | "sendmmsg" | "recvmmsg" | "getsockname" | "getpeername"
            | "setsockopt" | "getsockopt" => Kind::Network,
            "pipe" | "pipe2" | "splice" | "tee" | "vmsplice" => Kind::Ipc,
            "read" | "write" | "pread64" | "pwrite64" | "readv" | "writev" | "preadv" | "pwritev" | "preadv2"
            | "pwritev2" | "open" | "openat" | "openat2" | "creat" | "close" | "close_range" | "lseek" | "ioctl"
            | "fcntl" | "flock" | "dup" | "dup2" | "dup3" | "stat" | "fstat" | "lstat" | "newfstatat" | "statx"
            | "statfs" | "fstatfs" | "access" | "faccessat" | "faccessat2" | "getdents" | "getdents64" | "getcwd"
            | "chdir" | "fchdir" | "rename" | "renameat" | "renameat2" | "mkdir" | "mkdirat" | "rmdir" | "link"
            | "linkat" | "unlink" | "unlinkat" | "symlink" | "symlinkat" | "readlink" | "readlinkat" | "chmod"
            | "fchmod" | "fchmodat" | "fchmodat2" | "chown" | "fchown" | "lchown" | "fchownat" | "umask" | "truncate"
            | "ftruncate" | "fallocate" | "fadvise64" | "readahead" | "sync" | "fsync" | "fdatasync" | "syncfs"
            | "sync_file_range" | "sendfile" | "copy_file_range" | "utime" | "utimes" | "futimesat" | "utimensat"
            | "mknod" | "mknodat" | "name_to_handle_at" | "open_by_handle_at" => Kind::Files,
            _ => Kind::of_family(name),
        }
    }

    /// Families of calls that share the beginning or the end of their names.
    fn of_family(name: &str) -> Kind {
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        if begins(&["rt_sig", "rt_tgsig", "signalfd"]) {
            Kind::Signals
        } else if begins(&["clock_", "timer_", "timerfd_"]) {
            Kind::Time
        } else if begins(&["futex", "epoll_", "io_uring_", "io_"]) {
            Kind::Waiting
        } else if begins(&["shm", "sem", "msg", "mq_", "eventfd"]) {
            Kind::Ipc
        } else if begins(&["sched_"]) {
            Kind::Processes
        } else if begins(&["inotify_", "fanotify_"]) || name.contains("xattr") {
            Kind::Files
        } else {
            Kind::System
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn calls_stand_with_their_like() {
        for (symbol, kind) in [
            ("openat", Kind::Files),
            ("lgetxattr", Kind::Files),
            ("mmap", Kind::Memory),
            ("msync", Kind::Memory),
            ("msgsnd", Kind::Ipc),
            ("accept4", Kind::Network),
            ("sched_yield", Kind::Processes),
            ("setgroups", Kind::Identity),
            ("clock_nanosleep", Kind::Time),
            ("rt_sigreturn", Kind::Signals),
            ("@SIGCHLD", Kind::Signals),
            ("epoll_wait", Kind::Waiting),
            ("uname", Kind::System),
            ("syscall_4000", Kind::System),
        ] {
            assert_eq!(Kind::of(symbol.parse().unwrap()), kind, "{symbol}");
        }
    }

    #[test]
    fn every_kind_has_a_name_a_place_and_a_colour_in_the_style_sheet() {
        let style = include_str!("drawing.css");
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(
                style.matches(&format!("--{}:", kind.as_str())).count(),
                2,
                "{}",
                kind.as_str()
            );
            assert!(style.contains(&format!(".{} {{", kind.as_str())), "{}", kind.as_str());
        }
    }
}
