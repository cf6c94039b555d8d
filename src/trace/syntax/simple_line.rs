//! The ordinary lines, of which most of a log is made: a call that is nothing but a symbol, with
//! its result, or one of its halves. What they say is told from their own bytes alone, so that any
//! processor can tell it ([`chunks`](crate::trace::chunks)); what it means, the [`Reader`](crate::trace::Reader)
//! knows.

use super::columns::{self, RecentColumn};
use super::ending::Outcome;
use super::names::NameTable;
use super::scan::{find_near_start, from, until};
use crate::event::Tid;
use crate::syscall::nr;

/// Longer than any name.
const LONGEST: usize = 40;

/// What an ordinary line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SimpleLine {
    /// The thread that it names.
    pub tid: Option<Tid>,
    /// The call.
    pub number: u32,
    /// How much of the call the line is.
    pub part: Part,
}

/// How much of a call a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
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

impl SimpleLine {
    /// Tells what a line says; `None`: it is not ordinary. The line is whole, and without colours.
    /// `recent` is what lines before have left, of any log.
    pub(crate) fn parse(line: &[u8], names: &NameTable, recent: &mut RecentColumn) -> Option<Self> {
        let (tid, body) = columns::split_fast(line, recent);
        // What is no name of the table is not looked up in vain: a marked name of x32 is none.
        let (name, rest, resumed) = if let Some(text) = body.strip_prefix(b"<... ") {
            let blank = find_near_start(until(text, LONGEST), b' ')?;
            (until(text, blank), from(text, blank).strip_prefix(b" resumed>")?, true)
        } else {
            let bracket = find_near_start(until(body, LONGEST), b'(')?;
            (until(body, bracket), from(body, bracket + 1), false)
        };
        let number = names.find(name).filter(|&n| is_plain(n))?;
        let part = match (Outcome::of(rest)?, resumed) {
            (Outcome::Result { failed }, false) => Part::Whole { failed },
            (Outcome::Result { failed }, true) => Part::End { failed },
            (Outcome::Open, false) => Part::Beginning,
            (Outcome::Open, true) => return None,
        };
        Some(SimpleLine { tid, number, part })
    }
}

/// A bit for each call that is more than a symbol: it makes somebody, ends somebody, or changes
/// handlers.
#[allow(clippy::indexing_slicing)] // Only the compiler runs it.
const SPECIAL: [u64; 8] = {
    let calls = [
        nr::RT_SIGACTION,
        nr::RT_SIGRETURN,
        nr::CLONE,
        nr::CLONE3,
        nr::FORK,
        nr::VFORK,
        nr::EXECVE,
        nr::EXECVEAT,
        nr::EXIT,
        nr::EXIT_GROUP,
    ];
    let (mut bits, mut at) = ([0; 8], 0);
    while at < calls.len() {
        bits[calls[at] as usize / 64] |= 1 << (calls[at] % 64);
        at += 1;
    }
    bits
};

/// Whether a call is nothing but a symbol.
fn is_plain(number: u32) -> bool {
    SPECIAL.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_nothing_but_a_symbol_is_ordinary() {
        let names = NameTable::new();
        let of =
            |line: &str| SimpleLine::parse(line.as_bytes(), &names, &mut RecentColumn::default());
        let is = |tid, number, part| Some(SimpleLine { tid, number, part });
        assert_eq!(of("read(3, \"\", 1) = 0"), is(None, 0, Part::Whole { failed: false }));
        assert_eq!(
            of("12  read(3, 0x1, 1) = -1 EIO (x)"),
            is(Some(12), 0, Part::Whole { failed: true })
        );
        assert_eq!(of("12  read(3,  <unfinished ...>"), is(Some(12), 0, Part::Beginning));
        assert_eq!(
            of("12  <... read resumed>\"\", 1) = 0"),
            is(Some(12), 0, Part::End { failed: false })
        );
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
