//! The columns before a line's body.
//!
//! `LINE = [PID] [CTX] [TIME] [REL] [NR] [IP] BODY`. Each column is optional, and one blank follows
//! each. The pid is read, and the other columns are skipped.

use super::scan::{decimal, from, in_name, run, skip_blanks, until};
use crate::event::Tid;
use memchr::memchr;

/// The highest thread id that Linux gives (`PID_MAX_LIMIT`): a larger number is no pid but a time.
const PID_MAX: u64 = 4_194_304;

/// A line without its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Columns<'a> {
    /// The thread that the line names.
    pub tid: Option<Tid>,
    /// What follows the columns.
    pub body: &'a [u8],
}

/// Separates the columns from the body.
pub(crate) fn split(line: &[u8]) -> Columns<'_> {
    // The most frequent line has no column: it begins with the name of a call.
    if line.first().is_some_and(u8::is_ascii_lowercase) {
        return Columns { tid: None, body: line };
    }
    let (tid, mut rest) = match pid(line) {
        Some((tid, rest)) => (Some(tid), rest),
        None => (None, line),
    };
    let mut any = tid.is_some();
    while let Some(next) = column(rest, any) {
        rest = next;
        any = true;
    }
    // strace pads columns by `%-5u` and `%6ld`. A line that is indented without any column keeps
    // its blanks, which show what kind of line it is.
    Columns { tid, body: if any { skip_blanks(rest) } else { rest } }
}

/// The pid column of an earlier line. Most lines begin with the same column as the line before.
#[derive(Debug, Default)]
pub(crate) struct RecentColumn {
    /// The first eight bytes of that line, masked to its pid column.
    column: u64,
    /// The bytes that are part of the column.
    mask: u64,
    tid: Tid,
    /// The length of the column with its blanks; 0: there is no earlier line.
    length: usize,
}

/// Separates the columns from the body, quickly for lines that have no column but the pid.
#[inline]
pub(crate) fn split_fast<'a>(line: &'a [u8], recent: &mut RecentColumn) -> (Option<Tid>, &'a [u8]) {
    if let Some(first) = line.first_chunk()
        && u64::from_le_bytes(*first) & recent.mask == recent.column
        && recent.length > 0
    {
        let body = from(line, recent.length);
        if begins_body(body) {
            return (Some(recent.tid), body);
        }
    }
    split_and_remember(line, recent)
}

/// Whether the text behind a pid column must be the body.
fn begins_body(body: &[u8]) -> bool {
    body.first().is_some_and(|b| b.is_ascii_lowercase() || *b == b'<')
}

fn split_and_remember<'a>(line: &'a [u8], recent: &mut RecentColumn) -> (Option<Tid>, &'a [u8]) {
    const DIGITS: usize = 7;
    let mut value = 0;
    for (at, &b) in until(line, DIGITS + 1).iter().enumerate() {
        match b {
            b'0'..=b'9' => value = value * 10 + u32::from(b - b'0'),
            b' ' if (1..=PID_MAX).contains(&u64::from(value)) => {
                let body = skip_blanks(from(line, at));
                if begins_body(body) {
                    let length = line.len() - body.len();
                    if let Some(first) = line.first_chunk().filter(|_| length <= 8) {
                        let mask = u64::MAX >> (64 - 8 * length);
                        *recent = RecentColumn {
                            column: u64::from_le_bytes(*first) & mask,
                            mask,
                            tid: value,
                            length,
                        };
                    }
                    return (Some(value), body);
                }
                break;
            }
            _ => break,
        }
    }
    let Columns { tid, body } = split(line);
    (tid, body)
}

/// `123   `, `123<comm> `, `[pid   123] ` and `[pid   123<comm>] ` (`-Y` shows the command's name).
fn pid(line: &[u8]) -> Option<(Tid, &[u8])> {
    if let Some(inner) = line.strip_prefix(b"[pid ") {
        let (tid, rest) = tid(skip_blanks(inner))?;
        return Some((tid, comm(rest).strip_prefix(b"] ")?));
    }
    let (tid, rest) = tid(line)?;
    Some((tid, comm(rest).strip_prefix(b" ")?))
}

fn tid(text: &[u8]) -> Option<(Tid, &[u8])> {
    let (value, rest) = decimal(text)?;
    (1..=PID_MAX).contains(&value).then_some(())?;
    Some((Tid::try_from(value).ok()?, rest))
}

/// Skips `<comm>`. The name may have blanks and brackets, but a `>` in it is written in octal.
fn comm(text: &[u8]) -> &[u8] {
    match (text.first(), memchr(b'>', text)) {
        (Some(b'<'), Some(end)) => from(text, end + 1),
        _ => text,
    }
}

/// Skips one column; `None` where the body begins. `any`: other columns came before.
fn column(text: &[u8], any: bool) -> Option<&[u8]> {
    match text.first()? {
        b'[' => bracketed(text),
        b'(' => {
            // `(+     0.000010) `: -r together with -t.
            let inner = unsigned(skip_blanks(text.strip_prefix(b"(+")?));
            from(inner, run(inner, |b| b.is_ascii_digit() || b == b'.')).strip_prefix(b") ")
        }
        b'0'..=b'9' => time(text, any),
        b' ' => time(unsigned(skip_blanks(text)), true)
            .or_else(|| column(skip_blanks(text), true).filter(|_| any)),
        _ => None,
    }
}

/// Skips the sign of a relative time, which is negative if the clock was set back.
fn unsigned(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"-").unwrap_or(text)
}

/// Skips `[ 7] ` and `[???] ` (-n), `[00007f0a1b2c3d4e] ` (-i), `[user:role:type:level] ` and
/// `[type] ` (--secontext).
fn bracketed(text: &[u8]) -> Option<&[u8]> {
    let inner = skip_blanks(from(text, 1));
    let len = run(inner, |b| in_name(b) || matches!(b, b'?' | b':' | b'.' | b',' | b'-' | b'!'));
    if len == 0 {
        return None;
    }
    from(inner, len).strip_prefix(b"] ")
}

/// Skips `10:11:12 `, `10:11:12.345678 `, `1700000000.123456 `, `1700000000 `, and the relative
/// `0.000010 ` and `0 `. Digits alone are a column only behind another column or behind padding, as
/// they might be part of anything else.
fn time(text: &[u8], any: bool) -> Option<&[u8]> {
    let digits = run(text, |b| b.is_ascii_digit());
    if digits == 0 {
        return None;
    }
    let mut rest = from(text, digits);
    if rest.first() == Some(&b':') {
        for _ in 0..2 {
            rest = rest.strip_prefix(b":").filter(|t| run(t, |b| b.is_ascii_digit()) >= 2)?;
            rest = from(rest, 2);
        }
    } else if rest.first() == Some(&b' ') && !any {
        // Seconds since the epoch, which no pid reaches.
        let (value, _) = decimal(until(text, digits))?;
        if value <= PID_MAX {
            return None;
        }
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = from(fraction, run(fraction, |b| b.is_ascii_digit()));
    }
    rest.strip_prefix(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(line: &str, tid: Option<Tid>, body: &str) {
        let found = split(line.as_bytes());
        let mut recent = RecentColumn::default();
        for _ in 0..2 {
            assert_eq!(split_fast(line.as_bytes(), &mut recent), (found.tid, found.body), "{line}");
        }
        // Lines of another thread, whose id begins or ends with the same digits.
        for line in [format!("1{line}"), format!("{line}1 read(0) = 0"), line.replacen('2', "3", 1)]
        {
            let found = split(line.as_bytes());
            assert_eq!(split_fast(line.as_bytes(), &mut recent), (found.tid, found.body), "{line}");
        }
        assert_eq!(
            (found.tid, String::from_utf8_lossy(found.body).as_ref()),
            (tid, body),
            "{line}"
        );
    }

    const CALL: &str = "read(3, \"\", 1) = 0";

    #[test]
    fn every_combination_of_columns_is_stepped_over() {
        let pids = [
            ("", None),
            ("12    ", Some(12)),
            ("1234567 ", Some(1_234_567)),
            ("[pid    12] ", Some(12)),
            ("12<a b> ", Some(12)),
            ("[pid  4242<x] (y\\76 z>] ", Some(4242)),
        ];
        let contexts = ["", "[system_u:system_r:init_t:s0-s0:c0.c1023] ", "[unconfined_t] "];
        let times = [
            "",
            "10:11:12 ",
            "10:11:12.345678 ",
            "1700000000.123456 ",
            "1700000000.123456789 ",
            "1700000000 ",
        ];
        let relatives = [
            "",
            "     0.000010 ",
            "     1.123 ",
            "     0 ",
            "    -1.999990 ",
            "(+     0.000010) ",
            "(+     0) ",
            "(+    -1.999990) ",
        ];
        let numbers = ["", "[   0] ", "[ 231] ", "[???] "];
        let pointers =
            ["", "[00007f0a1b2c3d4e] ", "[0804abcd] ", "[????????????????] ", "[????????] "];
        for (pid, tid) in pids {
            for context in contexts {
                for time in times {
                    for relative in relatives {
                        for number in numbers {
                            for pointer in pointers {
                                is(
                                    &format!(
                                        "{pid}{context}{time}{relative}{number}{pointer}{CALL}"
                                    ),
                                    tid,
                                    CALL,
                                );
                                let exit = "+++ exited with 0 +++";
                                is(
                                    &format!(
                                        "{pid}{context}{time}{relative}{number}{pointer}{exit}"
                                    ),
                                    tid,
                                    exit,
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_epoch_without_a_point_is_no_pid() {
        is("4194304 read(0) = 0", Some(4_194_304), "read(0) = 0");
        is("4194305 read(0) = 0", None, "read(0) = 0");
        is("0 read(0) = 0", None, "0 read(0) = 0");
        is("99999999999999999999999 x", None, "99999999999999999999999 x");
    }

    #[test]
    fn the_x32_names_of_old_are_no_columns() {
        is("64:readv(1, [], 0) = 0", None, "64:readv(1, [], 0) = 0");
        is("12    64:readv(1, [], 0) = 0", Some(12), "64:readv(1, [], 0) = 0");
    }

    #[test]
    fn what_has_no_column_keeps_its_blanks() {
        is(" > /lib/libc.so.6(read+0x10) [0x1]", None, " > /lib/libc.so.6(read+0x10) [0x1]");
        is(
            "[ Process PID=12 runs in 32 bit mode. ]",
            None,
            "[ Process PID=12 runs in 32 bit mode. ]",
        );
        is(
            "[pid    12] [ Process PID=12 runs in x32 mode. ]",
            Some(12),
            "[ Process PID=12 runs in x32 mode. ]",
        );
        for odd in ["", " ", "[", "[pid", "[pid ]", "[pid 5]", "(+", "12", "12<", "1:2:3 x"] {
            let _ = split(odd.as_bytes());
        }
    }
}
