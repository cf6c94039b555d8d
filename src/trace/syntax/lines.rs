//! The lines of a log. A long line is shortened, so that memory is bounded.

use memchr::memchr;
use std::io::{self, BufRead, ErrorKind};

/// The bytes that are kept of a long line's beginning: columns, name, arguments that matter.
const HEAD: usize = 64 * 1024;
/// The bytes that are kept of a long line's end: the result.
const TAIL: usize = 4 * 1024;
/// The length to which longer lines are shortened.
pub(crate) const MAX_LINE: usize = HEAD + TAIL;

/// A line without its newline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawLine<'a> {
    /// The bytes. Of a long line these are the beginning and the end.
    pub text: &'a [u8],
    /// The line's number, from 1.
    pub number: u64,
    /// The middle of the line was left out.
    pub shortened: bool,
    /// The line has a newline. If not, the log ends here.
    pub ended: bool,
}

/// The lines of one input.
pub(crate) struct Lines<R> {
    input: R,
    /// The beginning of a line that did not end within the input's buffer.
    kept: Vec<u8>,
    shortened: bool,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Lines { input, kept: Vec::new(), shortened: false, number: 0 }
    }

    /// The number of lines that were handed out.
    pub(crate) fn count(&self) -> u64 {
        self.number
    }

    /// Hands the lines to `take` until it returns false or the input ends. Returns whether the
    /// input ended; where it did not, the next call goes on with the next line.
    pub(crate) fn each(&mut self, mut take: impl FnMut(RawLine<'_>) -> bool) -> io::Result<bool> {
        loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            if buffer.is_empty() {
                if !self.kept.is_empty() {
                    self.number += 1;
                    take(RawLine {
                        text: &self.kept,
                        number: self.number,
                        shortened: self.shortened,
                        ended: false,
                    });
                    self.kept.clear();
                    self.shortened = false;
                }
                return Ok(true);
            }
            let mut used = 0;
            let mut go_on = true;
            while go_on {
                let rest = buffer.get(used..).unwrap_or_default();
                let Some(end) = memchr(b'\n', rest) else {
                    append_bounded(&mut self.kept, &mut self.shortened, rest);
                    used = buffer.len();
                    break;
                };
                let part = rest.get(..end).unwrap_or_default();
                used += end + 1;
                self.number += 1;
                let number = self.number;
                if self.kept.is_empty() && end <= MAX_LINE {
                    go_on =
                        take(RawLine { text: chomp(part), number, shortened: false, ended: true });
                } else {
                    append_bounded(&mut self.kept, &mut self.shortened, part);
                    let shortened = self.shortened;
                    go_on =
                        take(RawLine { text: chomp(&self.kept), number, shortened, ended: true });
                    self.kept.clear();
                    self.shortened = false;
                }
            }
            self.input.consume(used);
            if !go_on {
                return Ok(false);
            }
        }
    }
}

/// Appends a part of a line to the line's kept bytes. Past the bound the middle is left out.
pub(crate) fn append_bounded(kept: &mut Vec<u8>, shortened: &mut bool, part: &[u8]) {
    for some in part.chunks(HEAD) {
        kept.extend_from_slice(some);
        if kept.len() > MAX_LINE {
            *shortened = true;
            kept.drain(HEAD..kept.len() - TAIL);
        }
    }
}

/// The line without a carriage return at its end. A terminal's recording has one, or a copy through
/// another system.
pub(crate) fn chomp(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};

    fn all(input: impl BufRead) -> Vec<(Vec<u8>, u64, bool, bool)> {
        let mut out = Vec::new();
        let ended = Lines::new(input)
            .each(|l| {
                out.push((l.text.to_vec(), l.number, l.shortened, l.ended));
                true
            })
            .unwrap();
        assert!(ended);
        out
    }

    #[test]
    fn lines_are_the_same_whatever_the_buffers_size() {
        let text = b"one\r\ntwo\n\nthree".as_slice();
        let whole = all(text);
        assert_eq!(whole.len(), 4);
        assert_eq!(whole.first().unwrap(), &(b"one".to_vec(), 1, false, true));
        assert_eq!(whole.last().unwrap(), &(b"three".to_vec(), 4, false, false));
        for size in 1..8 {
            assert_eq!(all(BufReader::with_capacity(size, text)), whole);
        }
    }

    #[test]
    fn a_huge_line_keeps_its_beginning_and_its_end() {
        let mut text = b"write(1, \"".to_vec();
        text.resize(5_000_000, b'x');
        text.extend_from_slice(b"\", 5000000) = 5000000\nnext\n");
        for size in [100, 8192, 10_000_000] {
            let lines = all(BufReader::with_capacity(size, Cursor::new(&text)));
            let (line, _, shortened, _) = lines.first().unwrap();
            assert!(*shortened && line.len() <= MAX_LINE);
            assert!(line.starts_with(b"write(1, ") && line.ends_with(b") = 5000000"));
            assert_eq!(lines.last().unwrap().0, b"next");
        }
    }

    #[test]
    fn reading_may_stop_and_go_on() {
        let mut lines = Lines::new(BufReader::with_capacity(3, b"a\nb\nc\n".as_slice()));
        let mut seen = Vec::new();
        while !lines
            .each(|l| {
                seen.extend_from_slice(l.text);
                false
            })
            .unwrap()
        {}
        assert_eq!(seen, b"abc");
        assert_eq!(lines.count(), 3);
    }
}
