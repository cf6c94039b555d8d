//! Why a call has no attack: for each call of the table that none of the others has.

/// A reason, and the calls that it is true of, by their names.
pub const REASONS: &[(&str, &str)] = &[
    (
        "the kernel has no such call, or none any more",
        "_sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms get_thread_area getpmsg \
         lookup_dcookie nfsservctl putpmsg query_module security set_thread_area sysfs tuxcall uselib vserver",
    ),
    (
        "it tells the caller something, and changes nothing",
        "access cachestat capget clock_getres clock_gettime faccessat faccessat2 fgetxattr file_getattr flistxattr \
         fstat fstatfs get_mempolicy get_robust_list getcpu getcwd getegid geteuid getgid getgroups getitimer \
         getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage \
         getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat ioprio_get kcmp lgetxattr \
         listmount listns listxattr listxattrat llistxattr lsm_get_self_attr lsm_list_modules lstat mincore \
         name_to_handle_at newfstatat readlink readlinkat rt_sigpending sched_get_priority_max \
         sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler \
         sched_rr_get_interval stat statfs statmount statx sysinfo time timer_getoverrun timer_gettime \
         timerfd_gettime times uname ustat process_vm_readv",
    ),
    (
        "it reads into the caller's memory; what a pipe or a socket held is gone then",
        "getdents getdents64 pread64 preadv preadv2 read readahead readv recvfrom recvmmsg recvmsg",
    ),
    (
        "it changes the caller's memory, and nobody else's",
        "arch_prctl brk fadvise64 map_shadow_stack mbind membarrier mlock mlock2 mlockall modify_ldt mremap mseal msync \
         munlock munlockall munmap pkey_alloc pkey_free remap_file_pages set_mempolicy set_mempolicy_home_node shmdt",
    ),
    (
        "it changes a thread or a process: the caller",
        "alarm exit exit_group ioperm iopl landlock_restrict_self lsm_set_self_attr personality restart_syscall rseq \
         rseq_slice_yield rt_sigaction rt_sigprocmask rt_sigreturn sched_yield seccomp set_robust_list \
         set_tid_address setfsgid setfsuid setitimer setpgid setsid sigaltstack timer_create timer_delete \
         timer_settime umask uprobe uretprobe",
    ),
    (
        "it waits",
        "clock_nanosleep epoll_pwait epoll_pwait2 epoll_wait futex_wait futex_waitv io_getevents io_pgetevents \
         nanosleep pause poll ppoll pselect6 rt_sigsuspend rt_sigtimedwait select wait4 waitid",
    ),
    (
        "it makes, copies or closes a descriptor of the caller's",
        "close close_range dup dup2 dup3 epoll_create epoll_create1 eventfd eventfd2 fsmount fsopen fspick inotify_init \
         inotify_init1 io_setup landlock_add_rule landlock_create_ruleset memfd_secret open_tree open_tree_attr \
         pidfd_open pipe pipe2 signalfd signalfd4 timerfd_create",
    ),
    (
        "it changes what a descriptor of the caller's is for",
        "fanotify_mark inotify_rm_watch io_cancel io_destroy io_uring_register mq_getsetattr mq_notify",
    ),
    (
        "what it does to another process is where pages are, or how soon they are gone",
        "migrate_pages move_pages process_madvise process_mrelease",
    ),
    ("it writes out what is written already", "fdatasync fsync sync sync_file_range syncfs"),
    (
        "the guests lack what it needs: a file system with quotas, a second processor, a kernel to start, a terminal",
        "kexec_file_load quotactl quotactl_fd sched_setaffinity vhangup",
    ),
    ("it is as fork, and shares the caller's stack besides", "vfork"),
    ("it is as add_key, where a program of the system makes the key", "request_key"),
];

#[cfg(test)]
mod tests {
    use super::super::super::call::Abi;
    use super::super::all;
    use super::REASONS;
    use std::collections::BTreeSet;
    use sysfsm::syscall;

    #[test]
    fn every_call_of_the_table_has_an_attack_or_a_reason_why_there_is_none() {
        let native = all().into_iter().filter(|attack| attack.abi == Abi::Native);
        let number = |attack: super::super::Attack| u32::try_from(attack.number()).unwrap();
        let attacked: BTreeSet<&str> =
            native.map(|attack| syscall::name(number(attack)).unwrap()).collect();
        let given: Vec<&str> =
            REASONS.iter().flat_map(|(_, calls)| calls.split_whitespace()).collect();
        let reasoned: BTreeSet<&str> = given.iter().copied().collect();
        assert_eq!(given.len(), reasoned.len(), "a call has one reason");
        let known: BTreeSet<&str> = syscall::names().collect();
        assert_eq!(reasoned.difference(&known).count(), 0, "no such call");
        let both: Vec<_> = reasoned.intersection(&attacked).collect();
        assert!(both.is_empty(), "both: {both:?}");
        let covered: BTreeSet<&str> = reasoned.union(&attacked).copied().collect();
        let neither: Vec<_> = known.difference(&covered).collect();
        assert!(neither.is_empty(), "neither: {neither:?}");
    }
}
