//! What the levels above `kill` leave open: effects that no enforcement point refuses.
//!
//! This is the one list: `enforce --json` and `status --json` say it (`uncovered`), a test holds
//! docs/threat-model.md to it, and the battery (tests/veto/battery) fails where what takes effect is
//! not in it, or what is in it does not take effect. An effect has the name of its attack there.

use crate::kernel::level::Level;

/// An effect of a call that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uncovered {
    /// The name of the attack: the call, what it does, and `i386:` before a call of `int 0x80`.
    pub effect: &'static str,
    /// Whether `prevent` leaves the effect open, too. `contain` leaves all of them open.
    pub at_prevent: bool,
    /// Which hook the kernel does not ask, and where.
    pub cause: &'static str,
}

/// An effect of a 64-bit call. `prevent` guards the functions of all of them.
const fn native(effect: &'static str, cause: &'static str) -> Uncovered {
    Uncovered { effect, at_prevent: false, cause }
}

/// An effect of a 32-bit call, whose function the kernel lets no program guard (`__ia32_sys_*`:
/// -EINVAL on 7.3). Where nothing needs such calls: boot with `ia32_emulation=0`.
const fn i386(effect: &'static str, cause: &'static str) -> Uncovered {
    Uncovered { effect, at_prevent: true, cause }
}

const VMSPLICE: &str = "no LSM hook is asked: `vmsplice_to_pipe`, fs/splice.c";
const TEE: &str = "no LSM hook is asked: `link_pipe`, fs/splice.c";
const SPLICE: &str = "no LSM hook is asked: `splice_pipe_to_pipe`, fs/splice.c";
const FUTEX: &str = "no LSM hook is asked: kernel/futex/syscalls.c";
const FSCONFIG: &str =
    "the flags of all file systems are parsed before the hook: `vfs_parse_fs_param`, fs/fs_context.c";
const TIMER: &str = "no LSM hook is asked: `do_timerfd_settime`, fs/timerfd.c";
const EPOLL: &str = "no LSM hook is asked: `do_epoll_ctl`, fs/eventpoll.c";
const QUEUE: &str = "no LSM hook is asked: `do_mq_timedreceive`, ipc/mqueue.c";
const SEEK: &str = "no LSM hook is asked: `ksys_lseek`, fs/read_write.c";
const PTRACE: &str =
    "a process that is traced already is not asked about: `ptrace_check_attach`, kernel/ptrace.c";
const AIO: &str = "reads and writes are refused, the submission is not: `io_submit_one`, fs/aio.c";
const URING: &str =
    "reads and writes are refused, the submission is not: `io_submit_sqes`, io_uring/io_uring.c";

const UNCOVERED: &[Uncovered] = &[
    native("vmsplice-pipe", VMSPLICE),
    native("tee-pipe", TEE),
    native("splice-pipes", SPLICE),
    native("futex-wake", FUTEX),
    native("futex_wake", FUTEX),
    native("futex_requeue", FUTEX),
    native("fsconfig-flag", FSCONFIG),
    native("timerfd_settime", TIMER),
    native("epoll_ctl-add", EPOLL),
    native("lseek", SEEK),
    native("mq_timedreceive", QUEUE),
    native("io_submit-event", AIO),
    native("io_uring_enter-event", URING),
    native("io_uring_enter-epoll_ctl", EPOLL),
    native("ptrace-pokeuser", PTRACE),
    i386("i386:vmsplice-pipe", VMSPLICE),
    i386("i386:tee-pipe", TEE),
    i386("i386:splice-pipes", SPLICE),
    i386("i386:futex-wake", FUTEX),
    i386("i386:futex_wake", FUTEX),
    i386("i386:futex_requeue", FUTEX),
    i386("i386:fsconfig-flag", FSCONFIG),
    i386("i386:timerfd_settime", TIMER),
    i386("i386:epoll_ctl-add", EPOLL),
    i386("i386:lseek", SEEK),
    i386("i386:io_submit-event", AIO),
    i386("i386:io_uring_enter-event", URING),
    i386("i386:io_uring_enter-epoll_ctl", EPOLL),
    i386("i386:ptrace-pokeuser", PTRACE),
];

/// The effects that a level leaves open. Level `kill` refuses nothing, and has no list.
pub fn uncovered(level: Level) -> impl Iterator<Item = &'static Uncovered> {
    let open = move |effect: &&Uncovered| match level {
        Level::Prevent => effect.at_prevent,
        Level::Contain => true,
        Level::Kill => false,
    };
    UNCOVERED.iter().filter(open)
}

/// The names of the effects that a level leaves open, as JSON has them: `*` where nothing is
/// refused.
#[must_use]
pub fn uncovered_names(level: Level) -> Vec<&'static str> {
    match level {
        Level::Kill => vec!["*"],
        _ => uncovered(level).map(|open| open.effect).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_documentation_has_the_same_list() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threat-model.md");
        let text = fs::read_to_string(page).unwrap_or_default();
        let section = text.split_once("**What is left open.**").map_or("", |(_, rest)| rest);
        let table = section.lines().skip_while(|l| !l.starts_with("| `"));
        let mut rows = BTreeMap::new();
        for line in table.take_while(|l| l.starts_with("| `")) {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let effect = cells.next().unwrap_or_default().trim_matches('`');
            rows.insert(effect, cells.take(3).collect::<Vec<_>>());
        }
        let open: BTreeSet<&str> = UNCOVERED.iter().map(|open| open.effect).collect();
        for (effect, cells) in &rows {
            let both = [(*effect).to_string(), format!("i386:{effect}")];
            for (name, cell) in both.iter().zip(cells) {
                assert_eq!(open.contains(name.as_str()), *cell == "takes effect", "{name}: {cell}");
            }
        }
        for open in UNCOVERED {
            let effect = open.effect.trim_start_matches("i386:");
            let why = rows.get(effect).and_then(|cells| cells.get(2)).copied().unwrap_or_default();
            let place = open.cause.rsplit(": ").next().unwrap_or_default();
            assert!(why.contains(place), "`{effect}` in docs/threat-model.md: {why}, not {place}");
        }
    }

    #[test]
    fn prevent_leaves_open_what_32_bit_calls_do_and_nothing_else() {
        let foreign = |open: &&Uncovered| open.effect.starts_with("i386:");
        assert!(uncovered(Level::Prevent).all(|open| foreign(&open)));
        assert_eq!(uncovered(Level::Prevent).count(), UNCOVERED.iter().filter(foreign).count());
        assert_eq!(uncovered_names(Level::Kill), ["*"]);
    }
}
