//! Lines that begin with the program's own output, because the program and strace write to the same
//! terminal.

use super::ending::Ending;
use super::names::NameTable;
use super::scan::from;
use memchr::{memchr_iter, memmem};

/// The position in a line where a line of strace's begins, behind output of the program that had no
/// newline. A call counts only if it is well-formed to its end.
pub(crate) fn event_after_output(line: &[u8], names: &NameTable) -> Option<usize> {
    for start in [b"[pid ".as_slice(), b"<... ", b"+++ exited with ", b"+++ killed by ", b"--- SIG"]
    {
        if let Some(at) = memmem::find(line, start) {
            return (at > 0).then_some(at);
        }
    }
    for at in memchr_iter(b'(', line).take(16) {
        let word = line.get(..at)?;
        let well_formed = || !matches!(Ending::of(from(line, at)), Ending::None);
        if let Some(start) = names.suffix(word).filter(|&start| start > 0 && well_formed()) {
            return Some(start);
        }
    }
    None
}
