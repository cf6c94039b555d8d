//! Takes terminal colours out of a line: strace 7.0 puts them between every two tokens (`--color`).

use memchr::memchr;

/// Escape: begins every colour sequence.
const ESC: u8 = 0x1b;

/// Whether the text has an escape sequence.
pub(crate) fn any(text: &[u8]) -> bool {
    memchr(ESC, text).is_some()
}

/// The line without its escape sequences, built in `scratch` if it has any.
pub(crate) fn plain<'a>(line: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if !any(line) {
        return line;
    }
    scratch.clear();
    let mut bytes = line.iter().copied();
    while let Some(b) = bytes.next() {
        if b != ESC {
            scratch.push(b);
            continue;
        }
        // A colour is `ESC [ parameters letter`. Of any other sequence one letter is taken out.
        if bytes.next() == Some(b'[') {
            for b in bytes.by_ref() {
                if (0x40..=0x7e).contains(&b) {
                    break;
                }
            }
        }
    }
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out_and_plain_lines_are_not_copied() {
        let mut scratch = Vec::new();
        let line = b"\x1b[1;34mread\x1b[0m(\x1b[33m3\x1b[0m) = 0\x1b[K";
        assert_eq!(plain(line, &mut scratch), b"read(3) = 0");
        assert_eq!(plain(b"x\x1b[", &mut scratch), b"x");
        assert_eq!(plain(b"x\x1b", &mut scratch), b"x");
        scratch.clear();
        assert_eq!(plain(b"read(3) = 0", &mut scratch), b"read(3) = 0");
        assert!(scratch.is_empty());
    }
}
