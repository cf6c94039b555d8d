//! Lines of strace's that are no events: stacks, dumps, messages, summaries.

use super::scan::{decimal, from, run, until};
use crate::event::Tid;
use memchr::memmem;

/// Recognizes notes. A summary and a box of tips have several lines, so that the position in them
/// is remembered.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// The number of a summary's two rulers that were seen. 0: the last line was in no summary.
    rulers: u8,
    /// The number of lines that the box of --tips may still have. Such a line cannot be recognized
    /// by itself.
    tips: u8,
    /// A summary was seen.
    pub summary: bool,
}

/// The longest box of --tips, with its art (strace 7.2: strauss.c).
const TIPS_LINES: u8 = 32;

impl Notes {
    /// Whether a line without columns is a note.
    pub(crate) fn is_note(&mut self, line: &[u8]) -> bool {
        if line.is_empty() || attachment(line) || message(line) {
            return true;
        }
        if self.summary_line(line) || self.tips_line(line) {
            return true;
        }
        attached(line).is_some()
    }

    /// Whether the line is part of a summary (`-c`, `-C`, `-w`, `-U`): a header of column names, a
    /// ruler, rows, a ruler, the total.
    fn summary_line(&mut self, line: &[u8]) -> bool {
        if line.starts_with(b"System call usage summary for ") {
            return true;
        }
        if ruler(line) {
            self.rulers = if self.rulers == 1 { 2 } else { 1 };
            self.summary = true;
            return true;
        }
        match self.rulers {
            0 => header(line),
            1 => row(line),
            _ => {
                self.rulers = 0;
                row(line)
            }
        }
    }

    /// Whether the line is part of the box of `--tips` (strace 6.7 and later).
    fn tips_line(&mut self, line: &[u8]) -> bool {
        if line.starts_with(b"  ____________") || line.starts_with(b"     ____") {
            self.tips = TIPS_LINES;
            return true;
        }
        self.tips = self.tips.saturating_sub(1);
        self.tips > 0 && line.first().is_some_and(|b| !b.is_ascii_alphanumeric())
    }
}

/// Whether the line is one that strace prints below a call.
fn attachment(line: &[u8]) -> bool {
    let beneath: [&[u8]; 4] = [
        b" > ",    // -k, -kk
        b" | ",    // -e read=, -e write=
        b" VCPU:", // -e kvm=vcpu
        b" <Cannot restart pid ",
    ];
    if beneath.iter().any(|start| line.starts_with(start)) {
        return true;
    }
    // ` * 5 bytes in buffer 0`, in older versions ` = 2 buffers in vector 0`.
    let counted = line.strip_prefix(b" * ").or_else(|| line.strip_prefix(b" = ")).and_then(decimal);
    counted.is_some_and(|(_, t)| {
        t.starts_with(b" bytes in buffer ")
            || t.starts_with(b" buffers in vector ")
            || t.starts_with(b" message buffers")
    })
}

/// Whether the line is `NAME: message`. NAME is the name by which strace was called: `strace`, or a
/// path that ends so. Under other names the message itself is recognized.
fn message(line: &[u8]) -> bool {
    let Some(colon) = memmem::find(line, b": ") else { return line.ends_with(b"strace:") };
    let (name, text) = (until(line, colon), from(line, colon + 2));
    if name.contains(&b' ') || name.contains(&b'(') {
        return false;
    }
    name == b"strace"
        || name.ends_with(b"/strace")
        || attached(text).is_some()
        || detached(text)
        || text.starts_with(b"Detached unknown pid ")
        || (memmem::find(text, b" of unknown pid ").is_some() && text.ends_with(b" ignored"))
}

/// The thread that is traced from now on, by a message: `Process 12 attached`, `strace: Process 12
/// attached with 3 threads`, in older versions `Process 12 attached (waiting for parent)` and `… -
/// interrupt to quit`. The message may stand behind a line that it interrupted: `vfork(strace:
/// Process 12 attached`.
pub(crate) fn attached(line: &[u8]) -> Option<Tid> {
    let at = memmem::rfind(line, b"Process ")?;
    let (tid, text) = decimal(from(line, at + b"Process ".len()))?;
    let text = text.strip_prefix(b" attached")?;
    let known = text.is_empty()
        || text.starts_with(b" with ")
        || text.starts_with(b" (waiting for parent)")
        || text.starts_with(b" - interrupt to quit");
    if known {
        Tid::try_from(tid).ok()
    } else {
        None
    }
}

/// Whether the text is `Process 12 detached`, or with strace up to 4.6 `Process 12 suspended` or
/// `Process 12 resumed (parent 11 ready)`.
fn detached(text: &[u8]) -> bool {
    let Some((_, text)) = text.strip_prefix(b"Process ").and_then(decimal) else { return false };
    [b" detached".as_slice(), b" suspended", b" resumed"].iter().any(|t| text.starts_with(t))
}

/// Whether the line is a message that older versions of strace print without their name.
pub(crate) fn bare_message(line: &[u8]) -> bool {
    detached(line) || line.starts_with(b"Detached unknown pid ")
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&b| b == b' ').filter(|w| !w.is_empty())
}

/// Whether the line is a ruler: `------ ----------- ----------- --------- ---------
/// ----------------`
fn ruler(line: &[u8]) -> bool {
    line.starts_with(b"----") && words(line).all(|w| w.len() >= 4 && w.iter().all(|&b| b == b'-'))
}

/// Whether the line has the names of a summary's columns, in any choice and order (-U).
fn header(line: &[u8]) -> bool {
    let names: [&[u8]; 13] = [
        b"%",
        b"time",
        b"seconds",
        b"usecs/call",
        b"calls",
        b"errors",
        b"syscall",
        b"shortest",
        b"longest",
        b"wall-total",
        b"wall-min",
        b"wall-max",
        b"wall-avg",
    ];
    let mut count = 0;
    words(line).all(|w| {
        count += 1;
        names.contains(&w)
    }) && count > 0
}

/// Whether the line is a row of a summary: numbers and one name.
fn row(line: &[u8]) -> bool {
    let mut names = 0;
    words(line).all(|w| {
        let numeric = run(w, |b| b.is_ascii_digit() || b == b'.') == w.len();
        names += usize::from(!numeric);
        numeric || w.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'#' | b':'))
    }) && names <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_dumps_and_messages_are_notes() {
        let mut notes = Notes::default();
        for line in [
            "",
            " > /usr/lib/libc.so.6(__read+0x1c) [0xf69dc]",
            " > /usr/bin/cat() [0x2b31]",
            " > /usr/bin/cat(main+0x10) main.c:12",
            " > unexpected_backtracing_error [0x7f]",
            " > BUG IN kernel",
            " | 00000  68 65 6c 6c 6f                                    hello            |",
            " | <Cannot fetch 5 bytes from pid 12 @0x7f>",
            " * 5 bytes in buffer 0",
            " = 2 buffers in vector 0",
            " VCPU:0> {mmap=...}",
            "strace: Process 12 attached",
            "strace: Process 12 attached with 3 threads",
            "/usr/local/bin/strace: Process 12 detached",
            "my-strace-5: Process 12 attached",
            "Process 12 attached - interrupt to quit",
            "Process 12 attached (waiting for parent)",
            "strace: Exit of unknown pid 12 ignored",
            "strace: WARNING: Proper structure decoding for this personality is not supported",
        ] {
            assert!(notes.is_note(line.as_bytes()), "{line}");
        }
        assert!(bare_message(b"Process 12 resumed (parent 11 ready)"));
        assert!(bare_message(b"Process 12 suspended"));
        for line in ["hello", "a.out: error", "time", " indented", "total"] {
            let known = matches!(line, "time");
            assert_eq!(notes.is_note(line.as_bytes()), known, "{line}");
        }
        assert_eq!(attached(b"vfork(strace: Process 12 attached"), Some(12));
        assert_eq!(attached(b"vfork(strace: Process 12 attache"), None);
    }

    #[test]
    fn a_summary_in_any_columns_is_a_note_and_what_follows_is_not() {
        let mut notes = Notes::default();
        for line in [
            "System call usage summary for 32 bit mode:",
            "% time     seconds  usecs/call     calls    errors syscall",
            "------ ----------- ----------- --------- --------- ----------------",
            " 50.00    0.000010          10         1           read",
            "  0.00    0.000000           0         1         1 access",
            "------ ----------- ----------- --------- --------- ----------------",
            "100.00    0.000010          10         2         1 total",
            "syscall             calls",
            "---------------- ---------",
            "read                    1",
            "---------------- ---------",
            "total                   1",
        ] {
            assert!(notes.is_note(line.as_bytes()), "{line}");
        }
        assert!(notes.summary);
        assert!(!notes.is_note(b"hello 1"));
    }
}
