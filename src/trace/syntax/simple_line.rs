//! Simple lines, which most of a log consists of: a whole call that is only a symbol, or one half
//! of such a call. A simple line is parsed from its own bytes alone, so that any thread can parse
//! it.

use super::columns::{self, RecentColumn};
use super::ending::Outcome;
use super::names::NameTable;
use super::scan::{find_near_start, from, until};
use crate::event::Tid;
use crate::syscall::nr;

/// An upper bound of the length of a call's name.
const MAX_NAME: usize = 40;

/// What a simple line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SimpleLine {
    /// The thread that the line names, if it names one.
    pub tid: Option<Tid>,
    /// The call's number.
    pub number: u32,
    /// Which part of the call the line is.
    pub part: Part,
}

/// Which part of a call a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The whole call: `read(…) = 0`
    Whole {
        /// The call failed, or was interrupted.
        failed: bool,
    },
    /// The call's beginning: `read(… <unfinished ...>`
    Beginning,
    /// The call's end: `<... read resumed>…) = 0`
    End {
        /// The call failed, or was interrupted.
        failed: bool,
    },
}

impl SimpleLine {
    /// Parses a line, which must be whole and without colours. `None`: the line is not simple.
    /// `recent` is kept from line to line, also of different logs.
    pub(crate) fn parse(line: &[u8], names: &NameTable, recent: &mut RecentColumn) -> Option<Self> {
        let (tid, body) = columns::split_fast(line, recent);
        // Only names of the 64-bit table are found. So no marked name of x32 is.
        let (name, rest, resumed) = if let Some(text) = body.strip_prefix(b"<... ") {
            let blank = find_near_start(until(text, MAX_NAME), b' ')?;
            (until(text, blank), from(text, blank).strip_prefix(b" resumed>")?, true)
        } else {
            let bracket = find_near_start(until(body, MAX_NAME), b'(')?;
            (until(body, bracket), from(body, bracket + 1), false)
        };
        let number = names.find(name).filter(|&n| is_only_a_symbol(n))?;
        let part = match (Outcome::of(rest)?, resumed) {
            (Outcome::Result { failed }, false) => Part::Whole { failed },
            (Outcome::Result { failed }, true) => Part::End { failed },
            (Outcome::Open, false) => Part::Beginning,
            (Outcome::Open, true) => return None,
        };
        Some(SimpleLine { tid, number, part })
    }
}

/// A bit for each call that is more than a symbol: it makes a thread, ends a thread, replaces the
/// program or changes signal actions.
#[allow(clippy::indexing_slicing)] // Only the compiler runs this code.
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

/// Whether a call is only a symbol.
fn is_only_a_symbol(number: u32) -> bool {
    SPECIAL.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_that_are_nothing_but_a_symbol_are_simple() {
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
