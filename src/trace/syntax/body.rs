//! The body of a line: what stands behind the columns. Its first bytes say what kind it is.

use super::ending::Ending;
use super::scan::{after, decimal, from, in_name, run, skip_blanks, until};
use crate::event::Tid;
use crate::syscall::{signal_number, Abi, SIGNAL_MAX};

/// A line's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// `name(rest`: a call enters.
    Call {
        /// The call's name as printed, without the marks of x32.
        name: &'a [u8],
        /// The name is marked as that of an x32 call.
        x32: bool,
        /// The arguments and what follows them.
        rest: &'a [u8],
    },
    /// `<... name resumed>rest`: a call goes on.
    Resumed {
        /// The call's name as printed, without the marks of x32.
        name: &'a [u8],
        /// What follows the mark.
        rest: &'a [u8],
    },
    /// `--- SIGX {…} ---`: a signal is delivered.
    Signal(u8),
    /// `--- SIGSEGV {si_signo=SIGSEGV, si_code=SI_KERNEL, …} ---`: SIGSEGV is delivered, for a fault
    /// without an address, or since the frame of a handler could not be set up.
    KernelSegv,
    /// `--- stopped by SIGX ---`: no signal is delivered.
    Stopped,
    /// `+++ exited with N +++`
    Exited,
    /// `+++ killed by SIGX +++`
    Killed,
    /// `+++ superseded by execve in pid T +++`
    Superseded(Tid),
    /// `[ Process PID=N runs in … mode. ]`: the foreign ABI, or `None` for the 64-bit one.
    Mode(Option<Abi>),
    /// The rest of a line that a message interrupted, if that rest is only a mark: `<unfinished
    /// ...>`, `<detached ...>`, `<Cannot restart pid …>`.
    Mark,
    /// Something else.
    Other,
}

/// Parses a body.
pub(crate) fn parse(body: &[u8]) -> Body<'_> {
    match body.first() {
        Some(b'<') => resumed(body),
        Some(b'-') => signal(body),
        Some(b'+') => gone(body),
        Some(b'[') => mode(body),
        Some(b' ') => mark(skip_blanks(body)),
        Some(_) => call(body),
        None => Body::Other,
    }
}

/// Parses a body that may be a call.
pub(crate) fn call(body: &[u8]) -> Body<'_> {
    // x32 before strace 4.23: `64:readv(`.
    let (marked, text) = match body.strip_prefix(b"64:") {
        Some(text) => (true, text),
        None => (false, body),
    };
    let len = run(text, in_name);
    let name = until(text, len);
    let mut rest = from(text, len);
    let mut x32 = marked;
    // x32 since: `readv#64(`.
    if let Some(text) = rest.strip_prefix(b"#64") {
        x32 = true;
        rest = text;
    }
    match rest.strip_prefix(b"(") {
        Some(rest) if name.first().is_some_and(|b| !b.is_ascii_digit()) => {
            Body::Call { name, x32, rest }
        }
        _ => Body::Other,
    }
}

fn resumed(body: &[u8]) -> Body<'_> {
    let Some(text) = body.strip_prefix(b"<... ") else { return mark(body) };
    // strace prints `<... ??? resumed>` for a call that it cannot name.
    let len = run(text, |b| in_name(b) || matches!(b, b'#' | b':' | b'?'));
    match from(text, len).strip_prefix(b" resumed>") {
        Some(rest) => {
            let name = until(text, len);
            let name = name.strip_prefix(b"64:").unwrap_or(name);
            Body::Resumed { name: name.strip_suffix(b"#64").unwrap_or(name), rest }
        }
        None => Body::Other,
    }
}

/// The shapes: `--- SIGCHLD {si_signo=SIGCHLD, …} ---`; strace 4.6 `--- {si_signo=SIGCHLD, …}
/// (Child exited) ---`; up to 4.5 `--- SIGCHLD (Child exited) @ 0 (0) ---`.
fn signal(body: &[u8]) -> Body<'_> {
    let Some(text) = body.strip_prefix(b"--- ").and_then(|t| t.strip_suffix(b" ---")) else {
        return Body::Other;
    };
    if text.starts_with(b"stopped by ") {
        return Body::Stopped;
    }
    let name =
        if text.starts_with(b"{") { after(text, b"si_signo=").unwrap_or_default() } else { text };
    let token = until(name, run(name, in_name));
    let number = match decimal(token) {
        Some((number, _)) => u8::try_from(number).ok().filter(|n| (1..=SIGNAL_MAX).contains(n)),
        None => std::str::from_utf8(token).ok().and_then(signal_number),
    };
    match number {
        Some(SIGSEGV) if after(text, b"si_code=").is_some_and(|c| c.starts_with(b"SI_KERNEL")) => {
            Body::KernelSegv
        }
        Some(number) => Body::Signal(number),
        None => Body::Other,
    }
}

/// The number of `SIGSEGV`.
pub(crate) const SIGSEGV: u8 = 11;

fn gone(body: &[u8]) -> Body<'_> {
    let Some(text) = body.strip_prefix(b"+++ ").and_then(|t| t.strip_suffix(b" +++")) else {
        return Body::Other;
    };
    if text.starts_with(b"exited with ") {
        Body::Exited
    } else if text.starts_with(b"killed by ") {
        Body::Killed
    } else {
        text.strip_prefix(b"superseded by execve in pid ")
            .and_then(decimal)
            .and_then(|(tid, _)| Tid::try_from(tid).ok())
            .map_or(Body::Other, Body::Superseded)
    }
}

fn mode(body: &[u8]) -> Body<'_> {
    let text = body
        .strip_prefix(b"[ Process PID=")
        .and_then(decimal)
        .and_then(|(_, text)| text.strip_prefix(b" runs in "));
    match text {
        Some(t) if t.starts_with(b"64 bit mode") => Body::Mode(None),
        Some(t) if t.starts_with(b"32 bit mode") => Body::Mode(Some(Abi::I386)),
        Some(t) if t.starts_with(b"x32 mode") => Body::Mode(Some(Abi::X32)),
        _ => Body::Other,
    }
}

fn mark(text: &[u8]) -> Body<'_> {
    let marks: [&[u8]; 3] = [b"<unfinished ...>", b"<detached ...>", b"<Cannot restart pid "];
    if marks.iter().any(|m| text.starts_with(m)) && matches!(Ending::of(text), Ending::Open { .. })
    {
        Body::Mark
    } else {
        Body::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Body<'_> {
        parse(text.as_bytes())
    }

    #[test]
    fn signals_of_every_age() {
        assert_eq!(
            p("--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7} ---"),
            Body::Signal(17)
        );
        assert_eq!(
            p("--- {si_signo=SIGCHLD, si_code=CLD_EXITED} (Child exited) ---"),
            Body::Signal(17)
        );
        assert_eq!(
            p("--- {si_signo=SIGALRM, si_code=SI_KERNEL} (Alarm clock) @ 7f0a ---"),
            Body::Signal(14)
        );
        assert_eq!(p("--- SIGCHLD (Child exited) @ 0 (0) ---"), Body::Signal(17));
        assert_eq!(
            p("--- SIGSEGV {si_signo=SIGSEGV, si_code=SI_KERNEL, si_addr=NULL} ---"),
            Body::KernelSegv
        );
        assert_eq!(
            p("--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---"),
            Body::Signal(11)
        );
        assert_eq!(p("--- SIGRT_1 {si_signo=SIGRT_1, si_code=SI_TKILL} ---"), Body::Signal(33));
        assert_eq!(p("--- SIGRTMIN {si_signo=SIGRTMIN} ---"), Body::Signal(32));
        assert_eq!(p("--- stopped by SIGSTOP ---"), Body::Stopped);
        for odd in [
            "---",
            "--- ---",
            "--- SIGWHAT {} ---",
            "--- SIGCHLD {si_si",
            "--- 65 {} ---",
            "--- a/file",
        ] {
            assert_eq!(p(odd), Body::Other, "{odd}");
        }
    }

    #[test]
    fn ends_modes_and_marks() {
        assert_eq!(p("+++ exited with 0 +++"), Body::Exited);
        assert_eq!(p("+++ killed by SIGSEGV (core dumped) +++"), Body::Killed);
        assert_eq!(p("+++ superseded by execve in pid 77 +++"), Body::Superseded(77));
        assert_eq!(p("[ Process PID=5 runs in 32 bit mode. ]"), Body::Mode(Some(Abi::I386)));
        assert_eq!(p("[ Process PID=5 runs in x32 mode. ]"), Body::Mode(Some(Abi::X32)));
        assert_eq!(p("[ Process PID=5 runs in 64 bit mode. ]"), Body::Mode(None));
        assert_eq!(p(" <unfinished ...>"), Body::Mark);
        assert_eq!(p(" <detached ...>"), Body::Mark);
        assert_eq!(
            p(" <Cannot restart pid 5 with ptrace(PTRACE_SYSCALL): No such process>"),
            Body::Mark
        );
        for odd in
            ["+++", "+++ b/file", "[ Process", "<", "<... read", " ", "", "(", "7(", "a", "a#64"]
        {
            assert_eq!(p(odd), Body::Other, "{odd}");
        }
    }

    #[test]
    fn calls_and_their_second_halves() {
        let call = |name, x32, rest| Body::Call { name, x32, rest };
        assert_eq!(p("read(3, "), call(b"read", false, b"3, "));
        assert_eq!(p("readv#64(3) = 0"), call(b"readv", true, b"3) = 0"));
        assert_eq!(p("64:readv(3) = 0"), call(b"readv", true, b"3) = 0"));
        assert_eq!(p("SYS_333(3) = 0"), call(b"SYS_333", false, b"3) = 0"));
        let resumed = |name, rest| Body::Resumed { name, rest };
        assert_eq!(p("<... read resumed>\"\", 1) = 0"), resumed(b"read", b"\"\", 1) = 0"));
        assert_eq!(p("<... readv#64 resumed>) = 0"), resumed(b"readv", b") = 0"));
        assert_eq!(p("<... ??? resumed>) = 0"), resumed(b"???", b") = 0"));
        assert_eq!(
            p("restart_syscall(<... resuming interrupted read ...>) = 0"),
            call(b"restart_syscall", false, b"<... resuming interrupted read ...>) = 0")
        );
    }
}
