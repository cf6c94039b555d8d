//! The window of a machine: its depth, and the contexts that it looks at.

use crate::syscall::{ParseSymbolError, Symbol};
use crate::text::UntrustedText;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// The largest depth.
pub const MAX_DEPTH: u8 = 8;

const MAX_SYMBOLS: usize = MAX_DEPTH as usize - 1;

/// The length of a machine's window, from 1 to [`MAX_DEPTH`]. At depth 1 a machine is an
/// allow-list, at depth 2 it holds pairs of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Depth(u8);

/// A depth outside 1 to [`MAX_DEPTH`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("depth `{0}` is not a whole number from 1 to {MAX_DEPTH}")]
pub struct DepthError(pub UntrustedText);

impl Depth {
    /// Pairs: the default.
    pub const PAIRS: Depth = Depth(2);

    /// The depth as a number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// The number of symbols in a full context: one less than the window.
    #[must_use]
    pub fn context_len(self) -> usize {
        usize::from(self.0) - 1
    }

    /// Every depth, smallest first.
    pub fn all() -> impl Iterator<Item = Depth> {
        (1..=MAX_DEPTH).map(Depth)
    }
}

impl Default for Depth {
    fn default() -> Self {
        Depth::PAIRS
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u64> for Depth {
    type Error = DepthError;

    fn try_from(value: u64) -> Result<Self, DepthError> {
        u8::try_from(value)
            .ok()
            .filter(|d| (1..=MAX_DEPTH).contains(d))
            .map(Depth)
            .ok_or_else(|| DepthError(value.to_string().into()))
    }
}

impl FromStr for Depth {
    type Err = DepthError;

    fn from_str(text: &str) -> Result<Self, DepthError> {
        text.parse::<u64>().map_err(|_| DepthError(text.into())).and_then(Depth::try_from)
    }
}

/// The last K-1 symbols of a frame, oldest first. At the frame's start there are fewer.
#[derive(Clone, Copy)]
pub struct Context {
    symbols: [Symbol; MAX_SYMBOLS],
    len: u8,
}

impl Context {
    /// No symbols. At depth 1 this is the only context; at other depths it stands for a past that
    /// is not known.
    pub const EMPTY: Context = Context { symbols: [Symbol::Call(0); MAX_SYMBOLS], len: 0 };

    /// The context of a frame's first symbol.
    #[must_use]
    pub fn start(first: Symbol, depth: Depth) -> Self {
        Context::EMPTY.then(first, depth)
    }

    /// The last symbols of `symbols` that fit into a window of `depth`.
    pub fn of(symbols: impl IntoIterator<Item = Symbol>, depth: Depth) -> Self {
        symbols.into_iter().fold(Context::EMPTY, |context, symbol| context.then(symbol, depth))
    }

    /// The context after one more symbol.
    #[must_use]
    pub fn then(mut self, symbol: Symbol, depth: Depth) -> Self {
        let keep = depth.context_len();
        if keep == 0 {
            return Context::EMPTY;
        }
        if usize::from(self.len) >= keep {
            self.symbols.rotate_left(1);
            self.len = u8::try_from(keep - 1).unwrap_or(0);
        }
        if let Some(slot) = self.symbols.get_mut(usize::from(self.len)) {
            *slot = symbol;
            self.len += 1;
        }
        self
    }

    /// The symbols, oldest first.
    #[must_use]
    pub fn symbols(&self) -> &[Symbol] {
        self.symbols.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The newest symbol.
    #[must_use]
    pub fn last(&self) -> Option<Symbol> {
        self.symbols().last().copied()
    }

    /// The suffixes of the context, longest first: the context itself, then the context without its
    /// oldest symbol, and so on. The empty context is not among them.
    pub fn suffixes(self) -> impl Iterator<Item = Context> {
        (0..usize::from(self.len)).map(move |skip| {
            let mut shorter = Context::EMPTY;
            for (slot, symbol) in shorter.symbols.iter_mut().zip(self.symbols().iter().skip(skip)) {
                *slot = *symbol;
                shorter.len += 1;
            }
            shorter
        })
    }
}

impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        self.symbols() == other.symbols()
    }
}

impl Eq for Context {}

impl Hash for Context {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.symbols().hash(state);
    }
}

impl PartialOrd for Context {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Context {
    fn cmp(&self, other: &Self) -> Ordering {
        self.symbols().cmp(other.symbols())
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

/// The form of a key in a policy: the symbols, separated by one blank.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, symbol) in self.symbols().iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            symbol.fmt(f)?;
        }
        Ok(())
    }
}

/// A text that is no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseContextError {
    /// A word of the text is no symbol.
    #[error(transparent)]
    Symbol(#[from] ParseSymbolError),
    /// More symbols than the largest depth has.
    #[error("{0} symbols")]
    TooLong(usize),
}

impl FromStr for Context {
    type Err = ParseContextError;

    fn from_str(text: &str) -> Result<Self, ParseContextError> {
        let mut context = Context::EMPTY;
        if text.is_empty() {
            return Ok(context);
        }
        let given = text.split(' ').count();
        if given > MAX_SYMBOLS {
            return Err(ParseContextError::TooLong(given));
        }
        for (slot, part) in context.symbols.iter_mut().zip(text.split(' ')) {
            *slot = part.parse()?;
            context.len += 1;
        }
        Ok(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn depth(k: u64) -> Depth {
        Depth::try_from(k).unwrap()
    }

    #[test]
    fn a_context_keeps_the_last_symbols_of_its_window() {
        let all = || (1..=10).map(Symbol::Call);
        for k in 1..=8 {
            let context = Context::of(all(), depth(k));
            let want: Vec<_> = all().skip(11 - usize::try_from(k).unwrap()).collect();
            assert_eq!(context.symbols(), want, "depth {k}");
        }
        assert_eq!(Context::of(all().take(2), depth(8)).symbols().len(), 2);
    }

    #[test]
    fn a_context_is_written_as_it_is_read() {
        for text in ["", "execve", "@SIGUSR1 write", "read write syscall_999"] {
            assert_eq!(text.parse::<Context>().unwrap().to_string(), text);
        }
        for bad in [" read", "read  write", "read ", "nope", "a b c d e f g h"] {
            assert!(bad.parse::<Context>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn equality_sees_only_the_symbols_that_are_in_it() {
        let long = Context::of([1, 2, 3].map(Symbol::Call), depth(3));
        let short = Context::of([2, 3].map(Symbol::Call), depth(3));
        assert_eq!(long, short);
        assert_eq!(long.cmp(&short), Ordering::Equal);
    }

    #[test]
    fn suffixes_go_from_the_longest_to_a_single_symbol() {
        let context: Context = "read write close".parse().unwrap();
        let all: Vec<String> = context.suffixes().map(|c| c.to_string()).collect();
        assert_eq!(all, ["read write close", "write close", "close"]);
    }

    #[test]
    fn depths_outside_one_to_eight_are_refused() {
        for bad in ["0", "9", "-1", "2.5", "", "two"] {
            assert!(bad.parse::<Depth>().is_err(), "{bad}");
        }
        assert_eq!(Depth::all().count(), 8);
    }
}
