//! Which calls an export names: those of the policy, and those that the machine leaves out because
//! the step allows them anyway, or because they were over before the policy held. A seccomp filter
//! allows nothing that is not said.

use crate::export::format::Format;
use crate::policy::Policy;
use crate::syscall::{name, Symbol};
use std::collections::BTreeSet;

/// Always allowed by the step (semantics, rules 3 to 5), so in no policy for certain.
const ALWAYS: [&str; 4] = ["exit", "exit_group", "restart_syscall", "rt_sigreturn"];

/// A filter that is installed in front of the program's start judges that start too.
const START: [&str; 1] = ["execve"];

/// What runc does between the filter and the program's start: it closes descriptors, and writes to
/// its parent. Seen in runc 1.1.5 with `noNewPrivileges`; without, it also drops its rights under the
/// filter, and needs many more.
const RUNC: [&str; 8] =
    ["close", "epoll_ctl", "fstatfs", "futex", "getdents64", "getpid", "openat", "write"];

/// What Go's runtime, in which runc is written, does at any time: sleeping, waking threads, memory,
/// preemption.
const GO: [&str; 9] = [
    "epoll_pwait",
    "gettid",
    "madvise",
    "mmap",
    "nanosleep",
    "read",
    "rt_sigprocmask",
    "sched_yield",
    "tgkill",
];

/// The newest call that seccompiler 0.5 has in its table; a name that it does not know is an error
/// there.
const SECCOMPILER_NEWEST: u32 = 462;

/// Older than that, and missing in its table: `uprobe`.
const SECCOMPILER_LACKS: [u32; 1] = [336];

/// The calls of an export.
pub(crate) struct Calls {
    /// The policy's.
    pub(crate) known: BTreeSet<&'static str>,
    /// What the filter needs besides.
    pub(crate) added: BTreeSet<&'static str>,
    /// The policy's symbols that the format cannot say.
    pub(crate) unsupported: BTreeSet<Symbol>,
}

impl Calls {
    pub(crate) fn of(policy: &Policy, format: Format) -> Self {
        let signals = policy
            .machine
            .rows()
            .flat_map(|(context, _)| context.symbols())
            .filter(|symbol| matches!(symbol, Symbol::Signal(_)));
        let mut unsupported: BTreeSet<Symbol> = signals.copied().collect();
        let mut known = BTreeSet::new();
        for symbol in policy.machine.alphabet() {
            match expressed(symbol, format) {
                Some(name) => known.insert(name),
                None => unsupported.insert(symbol),
            };
        }
        let added = needed(format).filter(|name| !known.contains(name)).collect();
        Calls { known, added, unsupported }
    }

    /// All of them, sorted.
    pub(crate) fn all(&self) -> BTreeSet<&'static str> {
        self.known.union(&self.added).copied().collect()
    }
}

fn needed(format: Format) -> impl Iterator<Item = &'static str> {
    // seccompiler's filter is installed by the running program itself: its start is over.
    let start = (format != Format::SeccompJson).then_some(START);
    let runtime = (format == Format::SeccompOci).then(|| RUNC.into_iter().chain(GO));
    ALWAYS.into_iter().chain(start.into_iter().flatten()).chain(runtime.into_iter().flatten())
}

/// The name by which the format's reader knows a symbol.
fn expressed(symbol: Symbol, format: Format) -> Option<&'static str> {
    let Symbol::Call(number) = symbol else { return None };
    if format == Format::SeccompJson
        && (number > SECCOMPILER_NEWEST || SECCOMPILER_LACKS.contains(&number))
    {
        return None;
    }
    name(number)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::parse;

    fn calls(format: Format, transitions: &str) -> Calls {
        let text = format!(r#"{{"sysfsm": 1, "binary": "x", "transitions": {transitions}}}"#);
        Calls::of(&parse(text.as_bytes()).unwrap(), format)
    }

    #[test]
    fn every_filter_may_end_and_return_and_only_one_of_a_running_program_need_not_start() {
        for (format, starts) in
            [(Format::SeccompOci, true), (Format::Systemd, true), (Format::SeccompJson, false)]
        {
            let all = calls(format, r#"{"execve": ["brk"]}"#).all();
            for name in ALWAYS {
                assert!(all.contains(name), "{name} for {format:?}");
            }
            assert_eq!(all.contains("execve"), starts, "{format:?}");
        }
    }

    #[test]
    fn a_call_of_the_policy_is_not_told_as_added() {
        let calls = calls(Format::Systemd, r#"{"execve": ["brk"], "brk": ["exit_group"]}"#);
        assert_eq!(calls.known, ["brk", "exit_group"].into());
        assert_eq!(calls.added, ["execve", "exit", "restart_syscall", "rt_sigreturn"].into());
    }

    #[test]
    fn what_is_added_are_calls_that_exist() {
        for format in Format::ALL {
            assert!(needed(format).all(|name| crate::syscall::number(name).is_some()));
        }
    }
}
