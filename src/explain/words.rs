//! System calls in plain words: what one does, and what its arguments are called. No reference:
//! enough to read a violation without a manual. Of a call that is not here the name is shown alone.

/// Name, what it does, its arguments.
type Entry = (&'static str, &'static str, &'static str);

/// Sorted by name.
const CALLS: &[Entry] = &[
    ("accept", "accept a connection", "fd addr addrlen"),
    ("accept4", "accept a connection", "fd addr addrlen type"),
    ("access", "ask whether a file may be used", "path mode"),
    ("adjtimex", "adjust the clock", "buf"),
    ("alarm", "set a timer that sends SIGALRM", "seconds"),
    ("arch_prctl", "set a processor register of the thread", "op addr"),
    ("bind", "give a socket its address", "fd addr addrlen"),
    ("bpf", "use the kernel's BPF", "cmd attr size"),
    ("brk", "grow or shrink the heap", "addr"),
    ("capget", "read capabilities", "header data"),
    ("capset", "change capabilities", "header data"),
    ("chdir", "change the working directory", "path"),
    ("chmod", "change a file's mode", "path mode"),
    ("chown", "change a file's owner", "path uid gid"),
    ("chroot", "change the root directory", "path"),
    ("clock_gettime", "read a clock", "clock time"),
    ("clock_nanosleep", "sleep", "clock flags time remaining"),
    ("clone", "start a thread or a process", "flags stack parent_tid child_tid tls"),
    ("clone3", "start a thread or a process", "args size"),
    ("close", "close a descriptor", "fd"),
    ("close_range", "close many descriptors", "first last flags"),
    ("connect", "connect a socket", "fd addr addrlen"),
    ("copy_file_range", "copy from file to file", "fd off_in fd off_out len flags"),
    ("creat", "create a file", "path mode"),
    ("delete_module", "remove a kernel module", "name flags"),
    ("dup", "duplicate a descriptor", "fd"),
    ("dup2", "duplicate a descriptor", "fd fd"),
    ("dup3", "duplicate a descriptor", "fd fd oflag"),
    ("epoll_create", "make an event queue", "size"),
    ("epoll_create1", "make an event queue", "flags"),
    ("epoll_ctl", "change what an event queue waits for", "fd op fd event"),
    ("epoll_pwait", "wait for events", "fd events maxevents timeout mask size"),
    ("epoll_wait", "wait for events", "fd events maxevents timeout"),
    ("eventfd2", "make an event counter", "initial flags"),
    ("execve", "run another program in this process", "path argv envp"),
    ("execveat", "run another program in this process", "dirfd path argv envp flags"),
    ("exit", "end the thread", "status"),
    ("exit_group", "end the process", "status"),
    ("faccessat", "ask whether a file may be used", "dirfd path mode"),
    ("faccessat2", "ask whether a file may be used", "dirfd path mode flags"),
    ("fadvise64", "say how a file will be read", "fd offset len advice"),
    ("fallocate", "reserve space for a file", "fd mode offset len"),
    ("fchdir", "change the working directory", "fd"),
    ("fchmod", "change a file's mode", "fd mode"),
    ("fchmodat", "change a file's mode", "dirfd path mode"),
    ("fchown", "change a file's owner", "fd uid gid"),
    ("fchownat", "change a file's owner", "dirfd path uid gid flags"),
    ("fcntl", "ask or change something about a descriptor", "fd fcntl_cmd arg"),
    ("fdatasync", "write a file's data to disk", "fd"),
    ("fgetxattr", "read an extended attribute", "fd name value size"),
    ("finit_module", "load a kernel module", "fd params flags"),
    ("flock", "lock a file", "fd op"),
    ("fork", "start a process", ""),
    ("fsetxattr", "write an extended attribute", "fd name value size flags"),
    ("fstat", "ask about an open file", "fd buf"),
    ("fstatfs", "ask about a file system", "fd buf"),
    ("fsync", "write a file to disk", "fd"),
    ("ftruncate", "cut or extend a file", "fd len"),
    ("futex", "wait for or wake another thread", "addr op val timeout addr2 val3"),
    ("getcwd", "ask for the working directory", "buf size"),
    ("getdents64", "list a directory", "fd buf count"),
    ("getegid", "ask for its group", ""),
    ("geteuid", "ask for its user", ""),
    ("getgid", "ask for its group", ""),
    ("getgroups", "ask for its groups", "size list"),
    ("getpeername", "ask for a connection's other end", "fd addr addrlen"),
    ("getpgid", "ask for a process group", "pid"),
    ("getpgrp", "ask for its process group", ""),
    ("getpid", "ask for its process id", ""),
    ("getppid", "ask for its parent's process id", ""),
    ("getrandom", "get random bytes", "buf size flags"),
    ("getrlimit", "ask for a resource limit", "resource limit"),
    ("getrusage", "ask what it has used", "who usage"),
    ("getsid", "ask for a session", "pid"),
    ("getsockname", "ask for a socket's address", "fd addr addrlen"),
    ("getsockopt", "ask for a socket's option", "fd level name value len"),
    ("gettid", "ask for its thread id", ""),
    ("gettimeofday", "read the clock", "time zone"),
    ("getuid", "ask for its user", ""),
    ("getxattr", "read an extended attribute", "path name value size"),
    ("init_module", "load a kernel module", "image len params"),
    ("inotify_add_watch", "watch a file for changes", "fd path mask"),
    ("inotify_init1", "make a queue for changes of files", "flags"),
    ("io_uring_enter", "hand work to an io_uring", "fd to_submit min_complete flags arg size"),
    ("io_uring_setup", "make an io_uring, whose work is invisible", "entries params"),
    ("ioctl", "control a device", "fd request arg"),
    ("kexec_load", "load another kernel", "entry segments list flags"),
    ("kill", "send a signal to a process", "pid sig"),
    ("lchown", "change a link's owner", "path uid gid"),
    ("lgetxattr", "read an extended attribute", "path name value size"),
    ("link", "make a hard link", "path newpath"),
    ("linkat", "make a hard link", "dirfd path dirfd newpath flags"),
    ("listen", "wait for connections", "fd backlog"),
    ("lseek", "move in a file", "fd offset whence"),
    ("lstat", "ask about a file", "path buf"),
    ("madvise", "say how memory will be used", "addr len advice"),
    ("memfd_create", "make a file in memory", "name flags"),
    ("mkdir", "make a directory", "path mode"),
    ("mkdirat", "make a directory", "dirfd path mode"),
    ("mknod", "make a device or a pipe", "path mode dev"),
    ("mknodat", "make a device or a pipe", "dirfd path mode dev"),
    ("mlock", "keep memory from being swapped", "addr len"),
    ("mmap", "map memory or a file", "addr len prot flags fd offset"),
    ("mount", "mount a file system", "source target type_name flags data"),
    ("mprotect", "change what memory may be used for", "addr len prot"),
    ("mremap", "move or resize mapped memory", "addr oldlen newlen flags newaddr"),
    ("msync", "write mapped memory to its file", "addr len flags"),
    ("munmap", "unmap memory", "addr len"),
    ("nanosleep", "sleep", "time remaining"),
    ("newfstatat", "ask about a file", "dirfd path buf flags"),
    ("open", "open a file", "path oflag mode"),
    ("openat", "open a file", "dirfd path oflag mode"),
    ("openat2", "open a file", "dirfd path how_open size"),
    ("pause", "wait for a signal", ""),
    ("perf_event_open", "measure performance", "attr pid cpu fd flags"),
    ("personality", "change how programs are run", "persona"),
    ("pidfd_open", "get a descriptor for a process", "pid flags"),
    ("pidfd_send_signal", "send a signal to a process", "fd sig info flags"),
    ("pipe", "make a pipe", "fds"),
    ("pipe2", "make a pipe", "fds oflag"),
    ("pivot_root", "change the root file system", "new_root put_old"),
    ("poll", "wait for descriptors", "fds count timeout"),
    ("ppoll", "wait for descriptors", "fds count timeout mask size"),
    ("prctl", "change something about the process", "option arg2 arg3 arg4 arg5"),
    ("pread64", "read from a place in a file", "fd buf count offset"),
    ("preadv", "read from a place in a file", "fd iov count offset"),
    ("prlimit64", "ask for or change a resource limit", "pid resource new old"),
    ("process_vm_readv", "read another process's memory", "pid local count remote count flags"),
    ("process_vm_writev", "write another process's memory", "pid local count remote count flags"),
    ("pselect6", "wait for descriptors", "n read write except timeout mask"),
    ("ptrace", "trace another process", "ptrace_request pid addr data"),
    ("pwrite64", "write to a place in a file", "fd buf count offset"),
    ("pwritev", "write to a place in a file", "fd iov count offset"),
    ("read", "read from a descriptor", "fd buf count"),
    ("readlink", "read where a link leads", "path buf size"),
    ("readlinkat", "read where a link leads", "dirfd path buf size"),
    ("readv", "read from a descriptor", "fd iov count"),
    ("reboot", "restart or halt the machine", "magic magic2 cmd arg"),
    ("recvfrom", "receive from a socket", "fd buf len flags addr addrlen"),
    ("recvmmsg", "receive from a socket", "fd msgs count flags timeout"),
    ("recvmsg", "receive from a socket", "fd msg flags"),
    ("rename", "rename a file", "path newpath"),
    ("renameat", "rename a file", "dirfd path dirfd newpath"),
    ("renameat2", "rename a file", "dirfd path dirfd newpath flags"),
    ("rmdir", "remove a directory", "path"),
    ("rseq", "register restartable sequences", "area len flags signature"),
    ("rt_sigaction", "say what a signal does", "sig new old size"),
    ("rt_sigpending", "ask for waiting signals", "set size"),
    ("rt_sigprocmask", "block or unblock signals", "how set oldset size"),
    ("rt_sigreturn", "return from a signal handler", ""),
    ("rt_sigsuspend", "wait for a signal", "mask size"),
    ("rt_sigtimedwait", "wait for a signal", "set info timeout size"),
    ("sched_getaffinity", "ask on which CPUs it may run", "pid size mask"),
    ("sched_setaffinity", "say on which CPUs it may run", "pid size mask"),
    ("sched_yield", "let others run", ""),
    ("seccomp", "put itself under a filter", "op flags args"),
    ("select", "wait for descriptors", "n read write except timeout"),
    ("sendfile", "send a file", "fd fd offset count"),
    ("sendmmsg", "send to a socket", "fd msgs count flags"),
    ("sendmsg", "send to a socket", "fd msg flags"),
    ("sendto", "send to a socket", "fd buf len flags addr addrlen"),
    ("set_robust_list", "register its locks", "head len"),
    ("set_tid_address", "register where its thread id is", "addr"),
    ("setgid", "change its group", "gid"),
    ("setgroups", "change its groups", "size list"),
    ("setitimer", "set a timer", "which new old"),
    ("setns", "enter a namespace", "fd type_name"),
    ("setpgid", "change a process group", "pid pgid"),
    ("setresgid", "change its group", "rgid egid sgid"),
    ("setresuid", "change its user", "ruid euid suid"),
    ("setrlimit", "change a resource limit", "resource limit"),
    ("setsid", "begin a session", ""),
    ("setsockopt", "change a socket's option", "fd level name value len"),
    ("setuid", "change its user", "uid"),
    ("setxattr", "write an extended attribute", "path name value size flags"),
    ("shutdown", "end one side of a connection", "fd how_much"),
    ("sigaltstack", "set the stack of signal handlers", "new old"),
    ("signalfd4", "make a queue for signals", "fd mask size flags"),
    ("socket", "make a socket", "domain type protocol"),
    ("socketpair", "make a pair of sockets", "domain type protocol fds"),
    ("splice", "move data between descriptors", "fd off_in fd off_out len flags"),
    ("stat", "ask about a file", "path buf"),
    ("statfs", "ask about a file system", "path buf"),
    ("statx", "ask about a file", "dirfd path flags mask buf"),
    ("symlink", "make a symbolic link", "target path"),
    ("symlinkat", "make a symbolic link", "target dirfd path"),
    ("sysinfo", "ask about the machine", "info"),
    ("tgkill", "send a signal to a thread", "pid tid sig"),
    ("time", "read the clock", "time"),
    ("timer_create", "make a timer", "clock event timer"),
    ("timer_settime", "set a timer", "timer flags new old"),
    ("timerfd_create", "make a timer", "clock flags"),
    ("timerfd_settime", "set a timer", "fd flags new old"),
    ("times", "ask for the time that it used", "buf"),
    ("tkill", "send a signal to a thread", "tid sig"),
    ("truncate", "cut or extend a file", "path len"),
    ("umask", "change the mode of new files", "mode"),
    ("umount2", "unmount a file system", "target flags"),
    ("uname", "ask for the system's name", "buf"),
    ("unlink", "remove a file", "path"),
    ("unlinkat", "remove a file", "dirfd path flags"),
    ("unshare", "leave shared namespaces", "flags"),
    ("userfaultfd", "handle page faults itself", "flags"),
    ("utimensat", "change a file's times", "dirfd path times flags"),
    ("vfork", "start a process", ""),
    ("wait4", "wait for a child", "pid status options usage"),
    ("waitid", "wait for a child", "which pid info options usage"),
    ("write", "write to a descriptor", "fd buf count"),
    ("writev", "write to a descriptor", "fd iov count"),
];

fn entry(name: &str) -> Option<&'static Entry> {
    CALLS.binary_search_by_key(&name, |entry| entry.0).ok().and_then(|at| CALLS.get(at))
}

/// What a call does: `open a file`.
pub(crate) fn words(name: &str) -> Option<&'static str> {
    entry(name).map(|entry| entry.1)
}

/// What a call's arguments are called; none for a call that is not known.
pub(crate) fn arguments(name: &str) -> Option<impl Iterator<Item = &'static str>> {
    entry(name).map(|entry| entry.2.split_whitespace())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::load;
    use crate::syscall::{number, Symbol};

    #[test]
    fn the_table_is_sorted_and_its_calls_exist_and_have_six_arguments_at_the_most() {
        assert!(CALLS.is_sorted_by_key(|entry| entry.0));
        for (name, words, _) in CALLS {
            assert!(number(name).is_some(), "{name}");
            assert!(!words.is_empty());
            assert!(arguments(name).unwrap().count() <= 6, "{name}");
        }
        assert!(words("openat").is_some() && words("frobnicate").is_none());
    }

    #[test]
    fn every_call_of_the_example_policies_has_words() {
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
        for loaded in load(&[examples.into()]).unwrap() {
            for symbol in loaded.policy.machine.alphabet() {
                assert!(
                    matches!(symbol, Symbol::Signal(_)) || words(&symbol.to_string()).is_some(),
                    "{symbol}"
                );
            }
        }
    }
}
