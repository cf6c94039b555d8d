//! Small steps over bytes, shared by the parsers of this layer.

use wide::u8x16;

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

/// How many bytes are compared at once.
const WIDE: usize = 16;

/// Which of sixteen bytes are this one: a bit each.
fn alike(bytes: &[u8; WIDE], byte: u8) -> u32 {
    u8x16::from(*bytes).cmp_eq(u8x16::splat(byte)).move_mask().cast_unsigned()
}

/// The first place of a byte that is expected very soon: no branch for each byte, of which one would be guessed wrong.
pub(super) fn soon(text: &[u8], byte: u8) -> Option<usize> {
    if let Some(first) = text.first_chunk() {
        let found = alike(first, byte);
        if found != 0 {
            return Some(found.trailing_zeros() as usize);
        }
        return from(text, WIDE).iter().position(|&b| b == byte).map(|at| WIDE + at);
    }
    text.iter().position(|&b| b == byte)
}

/// The last place of a byte, if it is among the last sixteen.
pub(super) fn late(text: &[u8], byte: u8) -> Option<usize> {
    if let Some(last) = text.last_chunk() {
        let found = alike(last, byte);
        return (found != 0).then(|| text.len() - 1 - (found.leading_zeros() as usize - WIDE));
    }
    text.iter().rposition(|&b| b == byte)
}

/// The places of a byte that comes every few dozen bytes, in their order.
pub(super) fn each_place(text: &[u8], byte: u8, mut take: impl FnMut(usize)) {
    let (wide, rest) = text.as_chunks();
    for (at, bytes) in wide.iter().enumerate() {
        let mut found = alike(bytes, byte);
        while found != 0 {
            take(at * WIDE + found.trailing_zeros() as usize);
            found &= found - 1;
        }
    }
    for (at, _) in rest.iter().enumerate().filter(|(_, &b)| b == byte) {
        take(text.len() - rest.len() + at);
    }
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
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_where_it_is() {
        for length in 0..40 {
            for first in 0..length {
                for second in first..length {
                    // Others that differ in one bit only.
                    let mut text: Vec<u8> = (0..length).map(|i| b'=' ^ (1 << (i % 8))).collect();
                    text[first] = b'=';
                    text[second] = b'=';
                    let near = second + 16 >= length;
                    assert_eq!((soon(&text, b'='), late(&text, b'=')), (Some(first), near.then_some(second)));
                    let mut places = Vec::new();
                    each_place(&text, b'=', |at| places.push(at));
                    assert_eq!(places, if first == second { vec![first] } else { vec![first, second] });
                }
            }
            assert_eq!((soon(&vec![0; length], b'='), late(&vec![0; length], b'=')), (None, None));
        }
    }
}
