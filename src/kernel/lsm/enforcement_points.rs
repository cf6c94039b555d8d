//! The table of enforcement points: where the kernel lets a call be denied.
//!
//! An entry is an LSM hook (`include/linux/lsm_hook_defs.h`) through which the kernel asks whether
//! an effect may happen. Where BPF is among the active LSMs an LSM program is attached to
//! `bpf_lsm_HOOK`. Elsewhere a `fmod_ret` program is attached to the kernel's function that asks
//! the hook, `security_FUNCTION`. A kernel may lack some of the hooks: these are listed as
//! unsupported.

/// Which program of `bpf/veto.h` runs at an enforcement point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Refuses what a denied call asks for.
    Veto,
    /// Refuses capabilities to a denied call.
    VetoCapability,
    /// Refuses keys to a denied call.
    VetoKey,
    /// Keeps watched threads from the enforcer, where the hook's first argument is a task.
    ProtectTask,
    /// Keeps every task from the enforcer, where the hook's first argument is a task.
    ProtectOwner,
    /// Keeps watched threads from the enforcer's BPF objects.
    ProtectObjects,
    /// Keeps watched threads from what is pinned, where the hook's first argument is a directory.
    ProtectPins,
    /// Keeps watched threads from what is pinned, where the hook's first argument is a mount.
    ProtectMount,
    /// Refuses what a denied call asks for, and keeps watched threads from writing to the kernel's
    /// switches, where the hook's arguments are a file and what is done to it.
    VetoWrite,
    /// Keeps watched threads from what the kernel's lockdown is there to refuse.
    ProtectLockdown,
    /// Keeps watched threads from having the kernel load code from memory.
    ProtectLoadData,
    /// Keeps watched threads from having the kernel load code from a file.
    ProtectReadFile,
}

impl Guard {
    /// Whether the guard is of use only where enforcement is pinned.
    pub(crate) fn is_of_pins(self) -> bool {
        matches!(self, Guard::ProtectPins | Guard::ProtectMount)
    }
}

/// An enforcement point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnforcementPoint {
    /// The name of the LSM hook.
    pub hook: &'static str,
    /// The function that asks the hook, without `security_`; empty where it has the hook's name.
    function: &'static str,
    /// Whether the level `contain` demands this enforcement point.
    pub core: bool,
    /// Whether the function is guarded besides the hook: the kernel does not ask the hook about
    /// inodes of its own (`IS_PRIVATE`, `security/security.c`), of an eventfd for example, which all
    /// processes share.
    pub private: bool,
    /// The program that runs at the hook.
    pub guard: Guard,
    /// The calls that the hook denies, separated by blanks: those of [`is_partial`] in part,
    /// the others whenever they could have an effect.
    pub calls: &'static str,
}

impl EnforcementPoint {
    /// The kernel's function that asks the hook.
    pub(crate) fn function(&self) -> String {
        format!("security_{}", if self.function.is_empty() { self.hook } else { self.function })
    }

    /// With another function that asks the hook.
    const fn by(self, function: &'static str) -> EnforcementPoint {
        EnforcementPoint { function, ..self }
    }

    /// With another program.
    pub(crate) const fn with(self, guard: Guard) -> EnforcementPoint {
        EnforcementPoint { guard, ..self }
    }

    /// With the function that asks the hook guarded, too.
    const fn private(self) -> EnforcementPoint {
        EnforcementPoint { private: true, ..self }
    }

    /// Demanded for `contain`.
    const fn core(self) -> EnforcementPoint {
        EnforcementPoint { core: true, ..self }
    }
}

/// An enforcement point with the program that denies, which `contain` does not demand.
const fn hook(hook: &'static str, calls: &'static str) -> EnforcementPoint {
    EnforcementPoint { hook, function: "", core: false, private: false, guard: Guard::Veto, calls }
}

/// Where denied calls are refused. Each entry costs time at the start and, above all, at the end:
/// the kernel waits about a tenth of a second for each point that is freed
/// (`unregister_ftrace_direct`, `kernel/trace/ftrace.c`). So no entry is here whose effects another
/// one refuses already: `path_*` beside `inode_*`, for example.
pub(crate) const ENFORCEMENT_POINTS: &[EnforcementPoint] = &[
    // A call that follows a path first asks for the right to search its directories.
    hook(
        "inode_permission",
        "access faccessat faccessat2 chdir fchdir chroot stat lstat newfstatat statx statfs ustat readlink readlinkat \
         unlink unlinkat mkdir mkdirat rmdir mknod mknodat rename renameat renameat2 link linkat symlink symlinkat \
         truncate chmod fchmodat fchmodat2 chown lchown fchownat utime utimes futimesat setxattr lsetxattr setxattrat \
         getxattr lgetxattr getxattrat listxattr llistxattr listxattrat removexattr lremovexattr removexattrat \
         inotify_add_watch fanotify_mark file_getattr umount2 move_mount uselib mq_open mq_unlink",
    )
    .core(),
    // Files: opening one, and what is done through a descriptor.
    hook("file_open", "open openat openat2 creat open_by_handle_at").core(),
    hook(
        "file_permission",
        "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 sendfile splice \
         copy_file_range fallocate getdents getdents64",
    )
    .core(),
    hook(
        "file_alloc_security",
        "pipe pipe2 accept accept4 eventfd eventfd2 epoll_create epoll_create1 timerfd_create \
         signalfd signalfd4 inotify_init inotify_init1 fanotify_init userfaultfd memfd_create memfd_secret \
         pidfd_open io_uring_setup io_setup open_tree fsopen fspick fsmount landlock_create_ruleset",
    )
    .by("file_alloc")
    .core(),
    hook("file_ioctl", "ioctl").core(),
    hook("file_ioctl_compat", ""),
    hook("uring_cmd", ""),
    hook("file_lock", "flock"),
    hook("file_fcntl", "fcntl"),
    hook("mmap_file", "mmap remap_file_pages").core(),
    hook("file_mprotect", "mprotect pkey_mprotect").core(),
    hook("inode_create", "").core(),
    hook("inode_link", "").core(),
    hook("inode_setattr", "utimensat ftruncate fchmod fchown").private().core(),
    // From 6.17 on, by path and by descriptor (vfs_fileattr_set, fs/file_attr.c).
    hook("inode_file_setattr", "file_setattr"),
    hook("inode_getattr", "fstat"),
    hook("inode_setxattr", "fsetxattr").core(),
    hook("inode_getxattr", "fgetxattr"),
    hook("inode_listxattr", "flistxattr"),
    hook("inode_removexattr", "fremovexattr"),
    // Since 6.2 access control lists have hooks of their own (vfs_set_acl, fs/posix_acl.c).
    hook("inode_set_acl", ""),
    hook("inode_get_acl", ""),
    hook("inode_remove_acl", ""),
    // Mounts.
    hook("sb_mount", "mount").core(),
    hook("sb_pivotroot", "pivot_root").core(),
    hook("sb_statfs", "fstatfs"),
    hook("fs_context_parse_param", "fsconfig"),
    // Programs, processes and their rights.
    hook("bprm_creds_for_exec", "execve execveat").core(),
    hook("task_alloc", "clone clone3 fork vfork").core(),
    // Not cred_prepare: its refusal would come out as ENOMEM (prepare_creds, kernel/cred.c).
    hook("task_fix_setuid", "setuid setreuid setresuid setfsuid").core(),
    hook("task_fix_setgid", "setgid setregid setresgid setfsgid").core(),
    hook("capset", "capset").core(),
    hook("userns_create", "").by("create_user_ns"),
    hook(
        "capable",
        "setgroups sethostname setdomainname reboot swapon swapoff init_module finit_module delete_module \
         kexec_load kexec_file_load acct iopl vhangup mount_setattr lookup_dcookie setns unshare \
         adjtimex clock_adjtime quotactl quotactl_fd",
    )
    .with(Guard::VetoCapability)
    .core(),
    hook("task_kill", "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal").core(),
    hook(
        "ptrace_access_check",
        "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp process_madvise process_mrelease",
    )
    .core(),
    hook("ptrace_traceme", ""),
    hook("task_prctl", "prctl").core(),
    hook("task_setpgid", "setpgid"),
    hook("task_setnice", "setpriority"),
    hook("task_setioprio", "ioprio_set"),
    hook("task_setrlimit", "setrlimit prlimit64"),
    hook("task_setscheduler", "sched_setscheduler sched_setparam sched_setattr sched_setaffinity"),
    hook("task_movememory", "migrate_pages move_pages"),
    // Sockets. A socket of a family that nobody has registered has the kernel run modprobe, after this
    // hook and before a file is allocated (__sock_create, net/socket.c).
    hook("socket_create", "socket socketpair").core(),
    hook("socket_bind", "bind").core(),
    hook("socket_connect", "connect").core(),
    hook("socket_listen", "listen").core(),
    hook("socket_sendmsg", "sendto sendmsg sendmmsg").core(),
    hook("socket_recvmsg", "recvfrom recvmsg recvmmsg"),
    hook("socket_getsockname", "getsockname"),
    hook("socket_getpeername", "getpeername"),
    hook("socket_getsockopt", "getsockopt"),
    hook("socket_setsockopt", "setsockopt"),
    hook("socket_shutdown", "shutdown"),
    // System V IPC and keys. Not ipc_permission: its denial would come out as EACCES (ipcperms,
    // ipc/util.c). A denial by the hook of msgrcv makes no message match, so that the call may wait
    // for one.
    hook("msg_msg_alloc_security", "msgsnd mq_timedsend").by("msg_msg_alloc").core(),
    hook("msg_queue_msgrcv", "").core(),
    hook("sem_semop", "semop semtimedop").core(),
    hook("shm_shmat", "shmat").core(),
    hook("msg_queue_alloc_security", "msgget").by("msg_queue_alloc"),
    hook("msg_queue_msgctl", "msgctl"),
    hook("shm_alloc_security", "shmget").by("shm_alloc"),
    hook("shm_shmctl", "shmctl"),
    hook("sem_alloc_security", "semget").by("sem_alloc"),
    hook("sem_semctl", "semctl"),
    hook("key_alloc", "add_key request_key"),
    hook("key_permission", "keyctl").with(Guard::VetoKey),
    // The machine.
    hook("settime", "settimeofday clock_settime").by("settime64"),
    hook("syslog", "syslog"),
    hook("bpf", "bpf").core(),
    hook("perf_event_open", "perf_event_open"),
];

/// Calls that a hook above covers in part only. Some are refused only what reaches outside of the
/// process, one not what goes between two pipes (`splice_pipe_to_pipe`, `fs/splice.c`), and some
/// return an error of their own.
const PARTIAL: &[&str] = &[
    "ptrace",
    // The flags that all file systems have are parsed before the hook is asked.
    "fsconfig",
    "keyctl",
    "unshare",
    "setns",
    "prlimit64",
    "adjtimex",
    "clock_adjtime",
    "splice",
    "signalfd",
    "signalfd4",
    "process_mrelease",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "move_pages",
    "remap_file_pages",
    "quotactl",
    "quotactl_fd",
    "setfsuid",
    "setfsgid",
    "perf_event_open",
    "add_key",
    "request_key",
];

/// Calls that a hook above is asked about, and of which the battery has not shown that it refuses
/// them whole: nearly all tell the caller something, or open a descriptor of the caller's.
const UNTRIED: &str =
    "access faccessat faccessat2 stat lstat newfstatat statx statfs ustat readlink readlinkat \
     getxattr lgetxattr getxattrat listxattr llistxattr listxattrat fanotify_mark \
     file_getattr uselib read readv pread64 preadv preadv2 getdents getdents64 pipe pipe2 \
     eventfd eventfd2 epoll_create epoll_create1 timerfd_create inotify_init inotify_init1 \
     memfd_secret pidfd_open io_setup open_tree fsopen fspick fsmount landlock_create_ruleset \
     fstat fgetxattr flistxattr fstatfs vfork kexec_file_load iopl vhangup lookup_dcookie \
     setpgid sched_setaffinity migrate_pages recvfrom recvmsg recvmmsg getsockname \
     getpeername getsockopt";

/// Whether a call that a hook is asked about is refused in part only, as far as is known.
pub(crate) fn is_partial(call: &str) -> bool {
    PARTIAL.contains(&call) || UNTRIED.split_whitespace().any(|untried| untried == call)
}

/// The calls that hooks are asked about.
fn hooked_calls() -> impl Iterator<Item = &'static str> {
    ENFORCEMENT_POINTS.iter().flat_map(|point| point.calls.split_whitespace())
}

/// Whether a hook is asked about a call. What no hook is asked about is denied at `prevent` alone:
/// elsewhere it is a kill.
#[must_use]
pub fn is_hooked(call: &str) -> bool {
    hooked_calls().any(|hooked| hooked == call)
}

/// The calls that hooks refuse whenever they could have an effect, as the battery shows.
pub fn fully_denied() -> impl Iterator<Item = &'static str> {
    hooked_calls().filter(|call| !is_partial(call))
}

/// Where watched threads are kept from the enforcer.
pub(crate) const PROTECTIONS: &[EnforcementPoint] = &[
    hook("task_kill", "").with(Guard::ProtectTask),
    hook("ptrace_access_check", "").with(Guard::ProtectTask),
    hook("task_setrlimit", "").with(Guard::ProtectTask),
    hook("task_setscheduler", "").with(Guard::ProtectTask),
    hook("task_setnice", "").with(Guard::ProtectTask),
    hook("task_setioprio", "").with(Guard::ProtectTask),
    hook("task_movememory", "").with(Guard::ProtectTask),
    // Signals of input, which go to the process that F_SETOWN has named.
    hook("file_send_sigiotask", "").with(Guard::ProtectOwner),
    hook("bpf", "").with(Guard::ProtectObjects),
    hook("inode_unlink", "").with(Guard::ProtectPins),
    hook("inode_rmdir", "").with(Guard::ProtectPins),
    hook("inode_rename", "").with(Guard::ProtectPins),
    hook("sb_umount", "").with(Guard::ProtectMount),
    hook("locked_down", "").with(Guard::ProtectLockdown),
    hook("kernel_load_data", "").with(Guard::ProtectLoadData),
    hook("kernel_read_file", "").with(Guard::ProtectReadFile),
];

/// Where watched threads are kept from the kernel's switches: at this point of
/// [`ENFORCEMENT_POINTS`], whose program does both.
pub(crate) const SWITCHES: (&str, Guard) = ("file_permission", Guard::VetoWrite);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall;
    use std::collections::BTreeSet;

    #[test]
    fn hooks_are_named_once_and_calls_by_their_names() {
        let hooks: BTreeSet<_> = ENFORCEMENT_POINTS.iter().map(|c| c.hook).collect();
        assert_eq!(hooks.len(), ENFORCEMENT_POINTS.len());
        let calls: Vec<_> = hooked_calls().collect();
        let once: BTreeSet<_> = calls.iter().collect();
        assert_eq!(once.len(), calls.len(), "a call that two entries claim");
        assert!(PARTIAL.iter().all(|c| once.contains(c)), "a call that no entry claims");
        assert!(
            UNTRIED.split_whitespace().all(|c| once.contains(&c)),
            "a call that no entry claims"
        );
        let unknown: Vec<_> = calls.iter().filter(|c| syscall::number(c).is_none()).collect();
        assert!(unknown.is_empty(), "calls that the table does not know: {unknown:?}");
    }
}
