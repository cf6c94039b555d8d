//! Small steps over bytes, shared by the parsers of this layer.

/// The bytes from `at` on; empty past the end.
pub(super) fn from(text: &[u8], at: usize) -> &[u8] {
    text.get(at..).unwrap_or_default()
}

/// The bytes before `at`; all of them if it lies past the end.
pub(super) fn until(text: &[u8], at: usize) -> &[u8] {
    text.get(..at).unwrap_or(text)
}

/// How many bytes at the beginning fulfil a condition.
pub(super) fn run(text: &[u8], holds: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&b| !holds(b)).unwrap_or(text.len())
}

/// Without the blanks at the beginning.
pub(super) fn skip_blanks(text: &[u8]) -> &[u8] {
    from(text, run(text, |b| b == b' '))
}

/// A decimal number at the beginning, and what follows it. No number, or one too large: `None`.
pub(super) fn decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = run(text, |b| b.is_ascii_digit());
    let value = until(text, digits)
        .iter()
        .try_fold(0_u64, |n, &b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
        .filter(|_| digits > 0)?;
    Some((value, from(text, digits)))
}

/// A number at the beginning as C writes it: `12`, `0x1f`, `017`.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if let Some(hex) = text.strip_prefix(b"0x") {
        let digits = run(hex, |b| b.is_ascii_hexdigit());
        let digits = std::str::from_utf8(until(hex, digits)).ok()?;
        return u64::from_str_radix(digits, 16).ok();
    }
    let (value, _) = decimal(text)?;
    if text.starts_with(b"0") && value != 0 {
        let digits = std::str::from_utf8(until(text, run(text, |b| b.is_ascii_digit()))).ok()?;
        return u64::from_str_radix(digits, 8).ok();
    }
    Some(value)
}

/// Where a word of eight bytes has this one: the highest bit of each such byte.
fn bytes_like(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differs = word ^ u64::from(byte).wrapping_mul(0x0101_0101_0101_0101);
    !((differs & LOW).wrapping_add(LOW) | differs | LOW)
}

/// The first place of a byte that is expected very soon: eight bytes at a time, where a branch for each would mostly be
/// guessed wrong once.
pub(super) fn soon(text: &[u8], byte: u8) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = bytes_like(u64::from_le_bytes(*word), byte);
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|&b| b == byte)?;
    Some(words.len() * 8 + at)
}

/// The last place of a byte that is expected near the end.
pub(super) fn late(text: &[u8], byte: u8) -> Option<usize> {
    let (rest, words) = text.as_rchunks::<8>();
    for (at, word) in words.iter().enumerate().rev() {
        let found = bytes_like(u64::from_le_bytes(*word), byte);
        if found != 0 {
            return Some(rest.len() + at * 8 + 7 - found.leading_zeros() as usize / 8);
        }
    }
    rest.iter().rposition(|&b| b == byte)
}

/// The bytes after the first occurrence of `needle`.
pub(super) fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(text, needle).map(|at| from(text, at + needle.len()))
}

/// A byte that may stand in the name of a system call.
pub(super) fn in_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_where_it_is() {
        let mut text: Vec<u8> = (0..40_u8).map(|i| i.wrapping_mul(37) | 0x80).collect();
        assert_eq!((soon(&text, b'='), late(&text, b'=')), (None, None));
        for first in 0..text.len() {
            for second in first..text.len() {
                let before = (text[first], text[second]);
                // One that differs in the highest bit only stands beside each.
                if let Some(next) = text.get_mut(second + 1) {
                    *next = b'=' | 0x80;
                }
                text[first] = b'=';
                text[second] = b'=';
                assert_eq!((soon(&text, b'='), late(&text, b'=')), (Some(first), Some(second)));
                (text[second], text[first]) = (before.1, before.0);
            }
        }
    }
}
