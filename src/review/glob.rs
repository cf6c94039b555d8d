//! Patterns that choose violations on the command line.

use crate::text::{shown, UntrustedText};
use std::fmt;
use std::str::FromStr;

/// A pattern over `context → symbol`: `*` stands for any text, `?` for one character. The whole
/// must match; `->` may be written for the arrow, and blanks around it are of no matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    /// The pattern of the context, and of the symbol.
    sides: (String, String),
}

/// A pattern that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no pattern: it has no arrow\nhint: write `CONTEXT → SYMBOL`, as in `* → futex` or `brk -> *`"
)]
pub struct GlobError(pub UntrustedText);

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        let sides = text.split_once('→').or_else(|| text.split_once("->"));
        let (context, symbol) = sides.ok_or_else(|| GlobError(text.into()))?;
        Ok(Glob { sides: (context.trim().into(), symbol.trim().into()) })
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", shown(&self.sides.0), shown(&self.sides.1))
    }
}

impl Glob {
    /// Whether it matches.
    #[must_use]
    pub fn matches(&self, context: &str, symbol: &str) -> bool {
        matches(self.sides.0.as_bytes(), context.as_bytes())
            && matches(self.sides.1.as_bytes(), symbol.as_bytes())
    }
}

/// Tries the shortest text for a `*` first, and goes back to the last `*` only: that is enough.
fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            ([b'?', p @ ..], [_, t @ ..]) => (pattern, text) = (p, t),
            ([a, p @ ..], [b, t @ ..]) if a == b => (pattern, text) = (p, t),
            ([], []) => return true,
            _ => match retry {
                Some((after, [_, t @ ..])) => {
                    retry = Some((after, t));
                    (pattern, text) = (after, t);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_the_whole_of_both_sides() {
        let yes = |pattern: &str, context: &str, symbol: &str| {
            pattern.parse::<Glob>().unwrap().matches(context, symbol)
        };
        assert!(yes("* → futex", "epoll_wait", "futex"));
        assert!(yes("*->*", "", "futex"));
        assert!(yes("brk m?ap -> open*", "brk mmap", "openat"));
        assert!(yes("*sig*→*", "rt_sigaction rt_sigprocmask", "kill"));
        assert!(!yes("brk → open", "brk", "openat"));
        assert!(!yes("brk → *", "mmap brk", "openat"));
        assert!(!yes("? → x", "", "x"));
        assert!(yes("*a*b*c → x", "aabbaabbcc", "x") && !yes("*a*b*c → x", "aabbaabbccd", "x"));
        assert!("brk".parse::<Glob>().unwrap_err().to_string().contains("hint: "));
    }
}
