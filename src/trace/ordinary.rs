//! The ordinary lines, of which most of a log is made: a call that is nothing but a symbol, with its result, or one of
//! its halves. What they say is told from their own bytes alone, so that any processor can tell it
//! ([`pieces`](super::pieces)); what it means, the [`Reader`](super::Reader) knows.

use super::body::{self, Body};
use super::columns;
use super::ending::{failed, Ending};
use super::event::Tid;
use super::names::Names;
use super::reader::RT_SIGACTION;
use super::scan::{from, soon, until};
use crate::syscall::nr;

/// Longer than any name.
const LONGEST: usize = 40;

/// What an ordinary line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ordinary {
    /// The thread that it names.
    pub tid: Option<Tid>,
    /// The call.
    pub number: u32,
    /// How much of the call the line is.
    pub part: Part,
}

/// How much of a call a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole {
        /// It failed, or was interrupted.
        failed: bool,
    },
    /// `… <unfinished ...>`
    Beginning,
    /// `<... read resumed>…`
    End {
        /// It failed, or was interrupted.
        failed: bool,
    },
}

impl Ordinary {
    /// Tells what a line says; `None`: it is not ordinary. The line is whole, and without colours.
    pub(super) fn of(line: &[u8], names: &Names) -> Option<Self> {
        let (tid, body) = columns::of_thread(line);
        let (name, rest, resumed) = if body.first().is_some_and(u8::is_ascii_lowercase) {
            // What is no name of the table is not looked up in vain: a marked name of x32 is none.
            let bracket = soon(until(body, LONGEST), b'(')?;
            (until(body, bracket), from(body, bracket + 1), false)
        } else {
            match body::parse(body) {
                Body::Resumed { name, rest } => (name, rest, true),
                _ => return None,
            }
        };
        let number = names.find(name).filter(|&n| is_plain(n))?;
        let part = match (Ending::of(rest), resumed) {
            (Ending::Result { result, .. }, false) => Part::Whole { failed: failed(result) },
            (Ending::Result { result, .. }, true) => Part::End { failed: failed(result) },
            (Ending::Open { pid: None, .. }, false) => Part::Beginning,
            _ => return None,
        };
        Some(Ordinary { tid, number, part })
    }
}

/// Whether a call is nothing but a symbol: it makes nobody, ends nobody, and changes no handlers.
fn is_plain(number: u32) -> bool {
    !matches!(
        number,
        RT_SIGACTION
            | nr::RT_SIGRETURN
            | nr::CLONE
            | nr::CLONE3
            | nr::FORK
            | nr::VFORK
            | nr::EXECVE
            | nr::EXECVEAT
            | nr::EXIT
            | nr::EXIT_GROUP
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_nothing_but_a_symbol_is_ordinary() {
        let names = Names::new();
        let of = |line: &str| Ordinary::of(line.as_bytes(), &names);
        let is = |tid, number, part| Some(Ordinary { tid, number, part });
        assert_eq!(of("read(3, \"\", 1) = 0"), is(None, 0, Part::Whole { failed: false }));
        assert_eq!(of("12  read(3, 0x1, 1) = -1 EIO (x)"), is(Some(12), 0, Part::Whole { failed: true }));
        assert_eq!(of("12  read(3,  <unfinished ...>"), is(Some(12), 0, Part::Beginning));
        assert_eq!(of("12  <... read resumed>\"\", 1) = 0"), is(Some(12), 0, Part::End { failed: false }));
        for other in [
            "12  execve(\"/bin/a\", [\"a\"], 0x1) = 0",
            "12  clone(child_stack=NULL) = 13",
            "12  exit_group(0) = ?",
            "12  rt_sigaction(SIGINT, NULL, {sa_handler=SIG_DFL}, 8) = 0",
            "12  readv#64(1, [], 0) = 0",
            "12  syscall_0x1ce(0) = 0",
            "12  nonsense(0) = 0",
            "12  read(3,",
            "12  +++ exited with 0 +++",
            "",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
