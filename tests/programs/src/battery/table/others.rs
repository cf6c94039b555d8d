//! What the other tables have not: System V objects and message queues that others use, how the
//! helper is scheduled, who the attacker is, mounts, the machine. By 64-bit calls only.

use super::super::attacker::Attacker;
use super::super::outside::Outside;
use super::{entry, Entry, AT_FDCWD};
use libc::{IPC_CREAT, IPC_RMID, O_CREAT, O_RDWR, O_TRUNC, O_WRONLY, SIGUSR1};

/// Anybody but root.
const OTHER: i32 = 1000;

/// sched.h and ioprio.h: a policy and a class that the helper is not of.
const SCHED_FIFO: i32 = 1;
const SCHED_BATCH: i64 = 3;
const IOPRIO_IDLE: i32 = 3 << 13;

/// timex.h: sets how far TAI is ahead of UTC.
const ADJ_TAI: i64 = 0x80;
const TAI: i64 = 77;

/// mount.h: read-only.
const MOUNT_ATTR_RDONLY: i64 = 1;

fn object(a: &mut Attacker, call: i64, size: i32) -> i64 {
    let mode = IPC_CREAT | 0o600;
    match call {
        libc::SYS_msgget => a.lawful(call, args![a.stage.key, mode]),
        _ => a.lawful(call, args![a.stage.key, size, mode]),
    }
}

/// A System V queue that holds a message.
fn messages(a: &mut Attacker) -> i64 {
    let queue = object(a, libc::SYS_msgget, 0);
    let message = a.words(&[1, 2]);
    a.lawful(libc::SYS_msgsnd, args![queue, message, 8, 0]);
    queue
}

/// A mounted tmpfs on the stage.
fn mounted(a: &mut Attacker) -> i64 {
    let (source, kind, path) = (a.text("battery"), a.text("tmpfs"), a.path("mnt"));
    a.lawful(libc::SYS_mount, args![source, path, kind, 0, 0]);
    path
}

/// A `struct timex` that sets the offset of TAI.
fn offset(a: &mut Attacker) -> i64 {
    let mut time = [0; 26];
    (time[0], time[6]) = (ADJ_TAI, TAI);
    a.words(&time)
}

fn offset_set(_: &Outside) -> bool {
    super::super::outside::tai() == TAI
}

/// The name of a POSIX message queue of the attack's own.
fn queue_name(a: &mut Attacker) -> i64 {
    a.text(&a.stage.queue())
}

/// Such a queue, open; it holds a message.
fn queue(a: &mut Attacker) -> i64 {
    let name = queue_name(a);
    let flags = O_CREAT | O_RDWR | libc::O_NONBLOCK;
    let queue = a.lawful(libc::SYS_mq_open, args![name, flags, 0o600, 0]);
    let text = a.text("forbid");
    a.lawful(libc::SYS_mq_timedsend, args![queue, text, 6, 0, 0]);
    queue
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "msgrcv",
        libc::SYS_msgrcv,
        |a| args![messages(a), a.words(&[0, 0]), 8, 0, libc::IPC_NOWAIT],
        |o| o.ipc("msg", "qnum").is_some_and(|number| number == "0"),
    ),
    entry(
        "msgctl-remove",
        libc::SYS_msgctl,
        |a| args![object(a, libc::SYS_msgget, 0), IPC_RMID, 0],
        |o| o.ipc("msg", "msqid").is_none(),
    ),
    entry(
        "semctl-remove",
        libc::SYS_semctl,
        |a| args![object(a, libc::SYS_semget, 1), 0, IPC_RMID, 0],
        |o| o.ipc("sem", "semid").is_none(),
    ),
    entry(
        "semget",
        libc::SYS_semget,
        |a| args![a.stage.key, 1, IPC_CREAT | 0o600],
        |o| o.ipc("sem", "semid").is_some(),
    ),
    entry(
        "semtimedop",
        libc::SYS_semtimedop,
        |a| args![object(a, libc::SYS_semget, 1), a.halves(&[1 << 16, 0]), 1, 0],
        |o| o.ipc("sem", "otime").is_some_and(|time| time != "0"),
    ),
    entry(
        "shmctl-remove",
        libc::SYS_shmctl,
        |a| args![object(a, libc::SYS_shmget, 4096), IPC_RMID, 0],
        |o| o.ipc("shm", "shmid").is_none(),
    ),
    entry(
        "mq_open",
        libc::SYS_mq_open,
        |a| args![queue_name(a), O_CREAT | O_RDWR, 0o600, 0],
        |o| o.queued().is_some(),
    ),
    entry(
        "mq_unlink",
        libc::SYS_mq_unlink,
        |a| {
            queue(a);
            args![queue_name(a)]
        },
        |o| o.queued().is_none(),
    ),
    entry(
        "mq_timedsend",
        libc::SYS_mq_timedsend,
        |a| args![queue(a), a.text("forbid"), 6, 0, 0],
        |o| o.queued() == Some(2),
    ),
    entry(
        "mq_timedreceive",
        libc::SYS_mq_timedreceive,
        |a| {
            let room = a.words(&[0; 1024]);
            args![queue(a), room, 8192, 0, 0]
        },
        |o| o.queued() == Some(0),
    ),
    entry(
        "rt_tgsigqueueinfo",
        libc::SYS_rt_tgsigqueueinfo,
        |a| {
            let mut info = [0; 32];
            (info[0], info[2]) = (SIGUSR1, -1); // SI_QUEUE
            args![a.stage.helper, a.stage.helper, SIGUSR1, a.halves(&info)]
        },
        Outside::helper_ended,
    )
    .harms(),
    entry(
        "sched_setattr",
        libc::SYS_sched_setattr,
        // struct sched_attr: 48 bytes; the size and the policy come first.
        |a| args![a.stage.helper, a.words(&[0x30 | SCHED_BATCH << 32, 0, 0, 0, 0, 0]), 0],
        |o| o.helper_stat(41) == SCHED_BATCH.to_string(),
    )
    .harms(),
    entry(
        "sched_setparam",
        libc::SYS_sched_setparam,
        |a| {
            let (one, two) = (a.halves(&[1]), a.halves(&[2]));
            a.lawful(libc::SYS_sched_setscheduler, args![a.stage.helper, SCHED_FIFO, one]);
            args![a.stage.helper, two]
        },
        |o| o.helper_stat(40) == "2",
    )
    .harms(),
    entry(
        "ioprio_set",
        libc::SYS_ioprio_set,
        // IOPRIO_WHO_PROCESS
        |a| args![1, a.stage.helper, IOPRIO_IDLE],
        |o| o.helper_io_priority() == i64::from(IOPRIO_IDLE),
    )
    .harms(),
    entry(
        "setreuid",
        libc::SYS_setreuid,
        |_| args![-1, OTHER],
        |o| o.status("Uid").contains("1000"),
    ),
    entry(
        "setregid",
        libc::SYS_setregid,
        |_| args![-1, OTHER],
        |o| o.status("Gid").contains("1000"),
    ),
    entry(
        "setresgid",
        libc::SYS_setresgid,
        |_| args![-1, OTHER, -1],
        |o| o.status("Gid").contains("1000"),
    ),
    entry(
        "pwritev-file",
        libc::SYS_pwritev,
        |a| {
            let (file, text) = (a.open("file", O_WRONLY), a.text("forbid"));
            args![file, a.words(&[text, 6]), 1, 0, 0]
        },
        Outside::rewritten,
    ),
    entry(
        "open_by_handle_at",
        libc::SYS_open_by_handle_at,
        |a| {
            // struct file_handle: the room, the kind, the handle
            let (path, handle, mount) = (
                a.path("file"),
                a.halves(&{
                    let mut handle = [0; 34];
                    handle[0] = 128;
                    handle
                }),
                a.words(&[0]),
            );
            a.lawful(libc::SYS_name_to_handle_at, args![AT_FDCWD, path, handle, mount, 0]);
            args![a.open("text", libc::O_RDONLY), handle, O_WRONLY | O_TRUNC]
        },
        |o| o.file(|m| m.len() == 0),
    ),
    entry(
        "mount_setattr",
        libc::SYS_mount_setattr,
        |a| args![AT_FDCWD, mounted(a), 0, a.words(&[MOUNT_ATTR_RDONLY, 0, 0, 0]), 32],
        |o| o.mounted_read_only("mnt"),
    )
    .optional(),
    entry(
        "move_mount",
        libc::SYS_move_mount,
        |a| args![AT_FDCWD, mounted(a), AT_FDCWD, a.path("mounted"), 0],
        |o| o.mounted("mounted"),
    ),
    entry("userfaultfd", libc::SYS_userfaultfd, |_| args![0], |o| o.holds("[userfaultfd]"))
        .optional(),
    entry("fanotify_init", libc::SYS_fanotify_init, |_| args![0, 0], |o| o.holds("[fanotify]")),
    entry("adjtimex", libc::SYS_adjtimex, |a| args![offset(a)], offset_set),
    entry(
        "clock_adjtime",
        libc::SYS_clock_adjtime,
        |a| args![libc::CLOCK_REALTIME, offset(a)],
        offset_set,
    ),
    entry("swapoff", libc::SYS_swapoff, |a| args![a.path("file")], |o| o.failed(libc::EINVAL)),
    entry(
        "kexec_load",
        libc::SYS_kexec_load,
        // Flags that there are not.
        |_| args![0, 0, 0, 0x8000],
        |o| o.failed(libc::EINVAL),
    ),
    entry("acct", libc::SYS_acct, |a| args![a.path("none")], |o| o.failed(libc::ENOENT)),
];
