//! The end of a call's line: a result, a mark that the call goes on in a later line, or none of
//! these.

use super::scan::{after, decimal, find_near_end, from, number, until};
use crate::event::Tid;
use memchr::{memmem, memrchr};

/// The end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending<'a> {
    /// `ARGS) = RET…`
    Result {
        /// What stands before the bracket.
        args: &'a [u8],
        /// The returned value and what follows it.
        result: &'a [u8],
    },
    /// `ARGS <unfinished ...>`, `ARGS <detached ...>`, `ARGS <pid changed to N ...>` or `ARGS
    /// <Cannot restart pid …>`.
    Open {
        /// What stands before the mark.
        args: &'a [u8],
        /// The pid N of `<pid changed to N ...>`.
        pid: Option<Tid>,
    },
    /// None of these: a message or the program's own output interrupted the line, or the log is
    /// cut.
    None,
}

impl Ending<'_> {
    /// Finds how a line ends.
    pub(crate) fn of(text: &[u8]) -> Ending<'_> {
        if text.ends_with(b"...>")
            && let Some(open) = open(text)
        {
            return open;
        }
        if let Some(found) = result(text) {
            return found;
        }
        match memmem::rfind(text, b" <Cannot restart pid ") {
            Some(at) if text.ends_with(b">") => Ending::Open { args: until(text, at), pid: None },
            _ if text.starts_with(b"<Cannot restart pid ") => Ending::Open { args: b"", pid: None },
            _ => Ending::None,
        }
    }
}

fn open(text: &[u8]) -> Option<Ending<'_>> {
    for mark in [b"<unfinished ...>".as_slice(), b"<detached ...>"] {
        if let Some(args) = text.strip_suffix(mark) {
            return Some(Ending::Open { args, pid: None });
        }
    }
    let at = memmem::rfind(text, b"<pid changed to ")?;
    let (pid, _) = decimal(after(from(text, at), b"to ")?)?;
    Some(Ending::Open { args: until(text, at), pid: Tid::try_from(pid).ok() })
}

/// Finds the last `) = RET`. Arguments and decoded paths that look like a result stand before it.
/// strace pads with blanks up to the column of -a.
fn result(text: &[u8]) -> Option<Ending<'_>> {
    let (bracket, result) = result_position(text)?;
    Some(Ending::Result { args: until(text, bracket), result: from(text, result) })
}

/// The position of the bracket, and that of the returned value.
fn result_position(text: &[u8]) -> Option<(usize, usize)> {
    let mut end = text.len();
    loop {
        let at = last_equals(until(text, end))?;
        if let Some([b' ', b'0'..=b'9' | b'-' | b'?', ..]) = text.get(at + 1..) {
            let before = until(text, at);
            let args = before.trim_ascii_end();
            if args.len() < before.len() && args.ends_with(b")") {
                return Some((args.len() - 1, at + 2));
            }
        }
        end = at;
    }
}

/// The end of a simple line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// `ARGS) = RET`
    Result {
        /// The call [`failed`].
        failed: bool,
    },
    /// ` <unfinished ...>`
    Open,
}

impl Outcome {
    /// The end of a line, as by [`Ending::of`]. `None`: no simple line ends so.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        if text.last() == Some(&b'>') {
            return match Ending::of(text) {
                Ending::Result { result, .. } => Some(Outcome::Result { failed: failed(result) }),
                Ending::Open { pid: None, .. } => Some(Outcome::Open),
                _ => None,
            };
        }
        let (_, result) = result_position(text)?;
        Some(Outcome::Result { failed: failed(from(text, result)) })
    }
}

/// The position of the last `=`. Most results are short, so that it is near the end.
fn last_equals(text: &[u8]) -> Option<usize> {
    find_near_end(text, b'=').or_else(|| memrchr(b'=', text))
}

/// Whether the call failed, or was interrupted to be restarted.
pub(crate) fn failed(result: &[u8]) -> bool {
    matches!(result.first(), Some(b'-' | b'?'))
}

/// The value of a call that took effect. `None`: an error, `?`, or a value that strace's fault
/// injection made.
pub(crate) fn value(result: &[u8]) -> Option<u64> {
    if failed(result)
        || after(result, b"(INJECTED)").is_some()
        || after(result, b", retval)").is_some()
    {
        return None;
    }
    number(result)
}

/// The child that a clone-like call returned, by the id that the log gives it: of `= 2 /* 1234 in
/// strace's PID NS */` (--pidns-translation) 1234.
pub(crate) fn child(result: &[u8]) -> Option<Tid> {
    let own = value(result)?;
    let translated = memmem::find(result, b" in strace's PID NS")
        .and_then(|at| after(until(result, at), b"/* "))
        .and_then(number);
    Tid::try_from(translated.unwrap_or(own)).ok().filter(|&tid| tid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result_of(text: &str) -> Option<&str> {
        match Ending::of(text.as_bytes()) {
            Ending::Result { result, .. } => std::str::from_utf8(result).ok(),
            _ => None,
        }
    }

    #[test]
    fn results_of_every_shape() {
        for tail in [
            "0",
            "0x7f0a",
            "022",
            "-1 ENOENT (No such file or directory)",
            "?",
            "? <unavailable>",
            "? ERESTARTSYS (To be restarted if SA_RESTART is set)",
            "3</tmp/a>",
            "3<socket:[123]> <0.000012>",
            "0x8000 (flags O_RDWR|O_LARGEFILE)",
            "1 ([{fd=3, revents=POLLIN}])",
            "0 (INJECTED)",
            "-1 (errno 38)",
            "0 (INJECTED: args)",
            "2 /* 1234 in strace's PID NS */",
            "0 (Timeout) <0.1>",
            "1 (left {tv_sec=0})",
        ] {
            assert_eq!(result_of(&format!("3, \"x) = 9\", 5)   = {tail}")), Some(tail), "{tail}");
        }
        assert_eq!(result_of("0 <unfinished ...>) = ?"), Some("?"));
        assert_eq!(result_of("3, \"a = 1\", {x=2}"), None);
    }

    #[test]
    fn open_lines_of_every_shape() {
        let open = |args, pid| Ending::Open { args, pid };
        assert_eq!(Ending::of(b"3,  <unfinished ...>"), open(b"3,  ", None));
        assert_eq!(Ending::of(b"3, <detached ...>"), open(b"3, ", None));
        assert_eq!(Ending::of(b"\"a\" <pid changed to 77 ...>"), open(b"\"a\" ", Some(77)));
        assert_eq!(
            Ending::of(b"3 <Cannot restart pid 5 with ptrace(PTRACE_SYSCALL): No such process>"),
            open(b"3", None)
        );
        assert_eq!(Ending::of(b"1, \"hi\", 3hi"), Ending::None);
        assert_eq!(Ending::of(b"1, \"...>"), Ending::None);
    }

    #[test]
    fn values_and_children() {
        assert_eq!(value(b"0"), Some(0));
        assert_eq!(value(b"0x10"), Some(16));
        assert_eq!(value(b"-1 ENOENT (x)"), None);
        assert_eq!(value(b"? ERESTARTSYS"), None);
        assert_eq!(value(b"0 (INJECTED)"), None);
        assert_eq!(value(b"0 (INJECTED: args)"), Some(0));
        assert_eq!(child(b"1235 <0.001>"), Some(1235));
        assert_eq!(child(b"1235<sh>"), Some(1235));
        assert_eq!(child(b"2 /* 1234 in strace's PID NS */"), Some(1234));
        assert_eq!(child(b"0"), None);
        assert_eq!(child(b"-1 EAGAIN (x)"), None);
        assert_eq!(child(b"99999999999"), None);
    }
}
