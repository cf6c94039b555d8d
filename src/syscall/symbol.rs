//! Symbols: the letters that a machine reads, as text and as numbers.

use crate::syscall::signal::{signal_name, signal_number, SIGNAL_MAX};
use crate::syscall::table::{names, number, CallName};
use crate::text::UntrustedText;
use std::fmt;
use std::str::FromStr;

/// A letter of the machine's alphabet: a system call, or the pseudo-symbol with which the frame of
/// a signal handler begins (semantics, rule 3).
///
/// A symbol is written as text by [`Display`](fmt::Display) and read by [`FromStr`]. In the
/// kernel's maps a symbol is one number: [`Symbol::to_code`] and [`Symbol::from_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Symbol {
    /// A system call of the 64-bit table, by number.
    Call(u32),
    /// `@SIGNAME`: a handler of this signal begins.
    Signal(u8),
}

/// The code of `Symbol::Signal(n)` is this base plus n (`SYSFSM_SIGNAL_BASE` in bpf/sysfsm.h). The
/// base is bit 30, which no number of a 64-bit call has: Linux marks calls of the x32 ABI with it.
const SIGNAL_BASE: u32 = 1 << 30;

impl Symbol {
    /// The symbol as one number, as the kernel's maps hold it: a call's own number, or
    /// 2³⁰ plus the number of a signal.
    ///
    /// ```
    /// use sysfsm::syscall::Symbol;
    /// assert_eq!(Symbol::Call(59).to_code(), 59);
    /// assert_eq!(Symbol::Signal(10).to_code(), 0x4000_000a);
    /// ```
    #[must_use]
    pub const fn to_code(self) -> u32 {
        match self {
            Symbol::Call(number) => number,
            Symbol::Signal(number) => SIGNAL_BASE + number as u32,
        }
    }

    /// The symbol of a code. A code that is none of the signals 1 to [`SIGNAL_MAX`] is a call's
    /// number: a program may pass any 32 bits to the kernel as a number, -1 for example.
    ///
    /// ```
    /// use sysfsm::syscall::Symbol;
    /// assert_eq!(Symbol::from_code(0x4000_0040), Symbol::Signal(64));
    /// assert_eq!(Symbol::from_code(u32::MAX), Symbol::Call(u32::MAX));
    /// ```
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        match code.checked_sub(SIGNAL_BASE).map(u8::try_from) {
            Some(Ok(signal @ 1..=SIGNAL_MAX)) => Symbol::Signal(signal),
            _ => Symbol::Call(code),
        }
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Symbol::Call(number) => CallName(number).fmt(f),
            Symbol::Signal(number) => match signal_name(number) {
                Some(name) => write!(f, "@{name}"),
                None => write!(f, "@SIG_{number}"),
            },
        }
    }
}

/// A text that is no symbol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown symbol `{text}`")]
pub struct ParseSymbolError {
    /// The text that was read.
    pub text: UntrustedText,
    /// The name of the nearest symbol, if one is near enough to be meant.
    pub nearest: Option<String>,
}

impl ParseSymbolError {
    /// What to try instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.nearest {
            Some(name) => format!("did you mean `{name}`?"),
            None if self.text.whole().starts_with('@') => {
                "a pseudo-symbol is `@` and a signal's name, as in `@SIGUSR1` or `@SIGRT_2`".into()
            }
            None => "a symbol is a system call's name; a number that the table does not know is \
                     written `syscall_500`"
                .into(),
        }
    }
}

impl FromStr for Symbol {
    type Err = ParseSymbolError;

    fn from_str(text: &str) -> Result<Self, ParseSymbolError> {
        let found = match text.strip_prefix('@') {
            Some(signal) => signal_number(signal).map(Symbol::Signal),
            None => number(text).map(Symbol::Call),
        };
        found.ok_or_else(|| ParseSymbolError { text: text.into(), nearest: nearest(text) })
    }
}

/// The name with the smallest edit distance from `text`, if the distance is small against the
/// length.
fn nearest(text: &str) -> Option<String> {
    if text.len() > 40 {
        return None;
    }
    let (candidates, prefix): (Vec<String>, &str) = if text.starts_with('@') {
        ((1..=SIGNAL_MAX).filter_map(signal_name).collect(), "@")
    } else {
        (names().map(ToString::to_string).collect(), "")
    };
    candidates
        .into_iter()
        .map(|name| format!("{prefix}{name}"))
        .map(|name| (distance(text, &name), name))
        .min()
        .filter(|&(d, _)| d <= 2 && d * 3 <= text.len())
        .map(|(_, name)| name)
}

/// Levenshtein distance, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (y, cell) in b.bytes().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = here;
            left = here;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_written_as_it_is_read() {
        for text in ["read", "openat", "@SIGUSR1", "@SIGRT_2", "syscall_4000"] {
            let symbol: Symbol = text.parse().unwrap_or(Symbol::Call(0));
            assert_eq!(symbol.to_string(), text);
        }
    }

    #[test]
    fn a_code_is_a_signal_exactly_where_linux_has_that_signal() {
        for signal in 1..=SIGNAL_MAX {
            let symbol = Symbol::Signal(signal);
            assert_eq!(Symbol::from_code(symbol.to_code()), symbol);
        }
        let base = 0x4000_0000;
        for code in [0, 59, base - 1, base, base + 65, base + 255, base + 256, u32::MAX] {
            assert_eq!(Symbol::from_code(code), Symbol::Call(code));
            assert_eq!(Symbol::Call(code).to_code(), code);
        }
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        let hint = |t: &str| t.parse::<Symbol>().err().map(|e| e.hint()).unwrap_or_default();
        assert_eq!(hint("opnat"), "did you mean `openat`?");
        assert_eq!(hint("@SIGUSR3"), "did you mean `@SIGUSR1`?");
        assert!(hint("frobnicate").contains("syscall_500"));
        assert!(hint("@what").contains("@SIGUSR1"));
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
