//! The functions of system calls that the running kernel has: which of them are to be guarded, and
//! which calls cannot be, by that kernel's own names rather than by a table of this program's.

use crate::kernel::bpf::functions::Functions;
use crate::syscall;

/// The function of a call of the 64-bit table (`__X64_SYS_STUBx`,
/// `arch/x86/include/asm/syscall_wrapper.h`).
pub(crate) const FUNCTION: &str = "__x64_sys_";

/// The body of a call. That of a call without arguments is all that the kernel's BTF has: `FUNCTION`
/// is an alias of it (`__X64_SYS_STUB0`), and the kernel takes no program by this name.
pub(crate) const BODY: &str = "__do_sys_";

/// These are always allowed: they end the thread, or the kernel itself makes them. The kernel takes
/// no program at a function that does not return.
const NEVER: &[&str] = &["exit", "exit_group", "uprobe", "uretprobe"];

/// Functions that are in the kernel for other tables than the 64-bit one: old forms that only 32-bit
/// calls have, and stubs of what other architectures have (`kernel/sys_ni.c`). No 64-bit call comes
/// to them. The list ends here: a call that is new in Linux has a number in the 64-bit table.
const OF_OTHER_TABLES: &[&str] = &[
    // 16-bit ids (kernel/uid16.c).
    "chown16",
    "fchown16",
    "getegid16",
    "geteuid16",
    "getgid16",
    "getgroups16",
    "getresgid16",
    "getresuid16",
    "getuid16",
    "lchown16",
    "setfsgid16",
    "setfsuid16",
    "setgid16",
    "setgroups16",
    "setregid16",
    "setresgid16",
    "setresuid16",
    "setreuid16",
    "setuid16",
    // 32-bit times.
    "adjtimex_time32",
    "clock_adjtime32",
    "clock_getres_time32",
    "clock_gettime32",
    "clock_nanosleep_time32",
    "clock_settime32",
    "futex_time32",
    "futimesat_time32",
    "io_getevents_time32",
    "io_pgetevents_time32",
    "mq_timedreceive_time32",
    "mq_timedsend_time32",
    "nanosleep_time32",
    "ppoll_time32",
    "pselect6_time32",
    "recvmmsg_time32",
    "rt_sigtimedwait_time32",
    "sched_rr_get_interval_time32",
    "semtimedop_time32",
    "stime32",
    "time32",
    "timer_gettime32",
    "timer_settime32",
    "timerfd_gettime32",
    "timerfd_settime32",
    "utime32",
    "utimensat_time32",
    "utimes_time32",
    // 64-bit numbers in two registers (arch/x86/kernel/sys_ia32.c).
    "ia32_fadvise64",
    "ia32_fadvise64_64",
    "ia32_fallocate",
    "ia32_ftruncate64",
    "ia32_pread64",
    "ia32_pwrite64",
    "ia32_readahead",
    "ia32_sync_file_range",
    "ia32_truncate64",
    // Old forms.
    "fadvise64_64",
    "fstat",
    "fstatfs64",
    "gethostname",
    "ipc",
    "llseek",
    "lstat",
    "mmap_pgoff",
    "nice",
    "old_getrlimit",
    "old_msgctl",
    "old_readdir",
    "old_semctl",
    "old_shmctl",
    "oldumount",
    "olduname",
    "recv",
    "send",
    "sendfile",
    "sgetmask",
    "signal",
    "sigpending",
    "sigprocmask",
    "sigsuspend",
    "socketcall",
    "ssetmask",
    "stat",
    "statfs64",
    "stime",
    "sync_file_range2",
    "uname",
    "vm86",
    "vm86old",
    "waitpid",
    // Of other architectures.
    "pciconfig_iobase",
    "pciconfig_read",
    "pciconfig_write",
    "rtas",
    "s390_ipc",
    "s390_pci_mmio_read",
    "s390_pci_mmio_write",
    "spu_create",
    "spu_run",
    "subpage_prot",
    // What numbers without a call lead to.
    "ni_syscall",
];

/// What a function is known as: the name of its call, or its own name where the call is younger than
/// this program.
fn known_as(function: &str) -> &str {
    syscall::of_function(function).unwrap_or(function)
}

/// The functions of 64-bit calls that can have a veto: the name of each one's call, and its id in
/// the kernel's BTF.
pub(crate) fn to_guard(functions: &Functions) -> Vec<(&str, u32)> {
    let skipped = |name: &str| NEVER.contains(&name) || OF_OTHER_TABLES.contains(&name);
    let all = functions.after(FUNCTION).into_iter().filter(|(name, _)| !skipped(name));
    all.map(|(name, id)| (known_as(name), id)).collect()
}

/// Calls that are younger than this program and take no arguments, so that their functions can have
/// no veto. Of those that are older and take none, hooks refuse `fork`, `vfork` and `vhangup`; the
/// others act on the caller alone, or write out what is written already.
pub(crate) fn young_without_arguments(functions: &Functions) -> Vec<&str> {
    let stubs = functions.after(FUNCTION);
    let has_stub = |name: &str| stubs.binary_search_by_key(&name, |(name, _)| name).is_ok();
    let bodies = functions.after(BODY).into_iter().map(|(name, _)| name);
    bodies
        .filter(|name| !has_stub(name) && !OF_OTHER_TABLES.contains(name))
        .filter(|name| syscall::of_function(name).is_none())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(names: &[&str]) -> Functions {
        Functions::named(names)
    }

    #[test]
    fn what_the_kernel_has_is_guarded_and_not_what_this_program_knows() {
        let functions = kernel(&[
            "__x64_sys_read",
            "__x64_sys_newstat",
            "__x64_sys_umount",
            "__x64_sys_seize_everything",
            "__x64_sys_exit_group",
            "__x64_sys_chown16",
            "__do_sys_getpid",
        ]);
        let names: Vec<_> = to_guard(&functions).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["stat", "read", "seize_everything", "umount2"]);
    }

    #[test]
    fn a_young_call_that_cannot_be_guarded_is_found() {
        let functions = kernel(&[
            "__do_sys_getpid",
            "__do_sys_setns",
            "__x64_sys_setns",
            "__do_sys_seize",
            "__do_sys_ni_syscall",
            "__do_sys_sgetmask",
        ]);
        assert_eq!(young_without_arguments(&functions), ["seize"]);
    }

    #[test]
    fn no_call_of_the_table_is_one_of_another() {
        for function in OF_OTHER_TABLES {
            assert_eq!(syscall::of_function(function), None);
        }
    }
}
