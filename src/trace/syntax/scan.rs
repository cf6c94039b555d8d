//! Small functions over bytes that the parsers share.

use wide::u8x16;

/// The bytes from `at` on. Past the end there are none.
pub(crate) fn from(text: &[u8], at: usize) -> &[u8] {
    text.get(at..).unwrap_or_default()
}

/// The bytes before `at`. All of them, if `at` lies past the end.
pub(crate) fn until(text: &[u8], at: usize) -> &[u8] {
    text.get(..at).unwrap_or(text)
}

/// The number of bytes at the beginning that fulfil a condition.
pub(crate) fn run(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|&b| !is(b)).unwrap_or(text.len())
}

/// The text without the blanks at its beginning.
pub(crate) fn skip_blanks(text: &[u8]) -> &[u8] {
    from(text, run(text, |b| b == b' '))
}

/// The decimal number at the beginning, and what follows it. `None`: no number, or one that is too
/// large.
pub(crate) fn decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = run(text, |b| b.is_ascii_digit());
    let value = until(text, digits)
        .iter()
        .try_fold(0_u64, |n, &b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
        .filter(|_| digits > 0)?;
    Some((value, from(text, digits)))
}

/// The number at the beginning, as C writes it: `12`, `0x1f`, `017`.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
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

/// The number of bytes that are compared at once.
const WIDE: usize = 16;

/// A mask with one bit for each of sixteen bytes that equals `byte`.
fn equal_mask(bytes: &[u8; WIDE], byte: u8) -> u32 {
    u8x16::from(*bytes).cmp_eq(u8x16::splat(byte)).move_mask().cast_unsigned()
}

/// The first position of a byte that is expected near the beginning. There is no branch for each
/// byte, of which the processor would predict one wrong.
pub(crate) fn find_near_start(text: &[u8], byte: u8) -> Option<usize> {
    if let Some(first) = text.first_chunk() {
        let found = equal_mask(first, byte);
        if found != 0 {
            return Some(found.trailing_zeros() as usize);
        }
        return from(text, WIDE).iter().position(|&b| b == byte).map(|at| WIDE + at);
    }
    text.iter().position(|&b| b == byte)
}

/// The last position of a byte, if it is among the last sixteen bytes.
pub(crate) fn find_near_end(text: &[u8], byte: u8) -> Option<usize> {
    if let Some(last) = text.last_chunk() {
        let found = equal_mask(last, byte);
        return (found != 0).then(|| text.len() - 1 - (found.leading_zeros() as usize - WIDE));
    }
    text.iter().rposition(|&b| b == byte)
}

/// The number of positions in one block that are written without a branch. Few blocks have more
/// line ends.
const WITHOUT_BRANCH: usize = 4;
/// The number of bytes in a block: one for each bit of a word.
const BLOCK: usize = 4 * WIDE;

/// Finds all positions of a byte, in their order, in less than 4 GiB of text. It is made for a byte
/// that comes every few dozen bytes. The processor cannot predict where the next one is, so that no
/// branch depends on it: each block writes a fixed number of positions, and then counts how many of
/// them are valid.
pub(crate) fn find_all(text: &[u8], byte: u8, positions: &mut Vec<u32>) {
    let mut used = 0;
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut base = 0_u32;
    for block in blocks {
        let mut found = equal_mask_of_block(block, byte);
        let count = found.count_ones() as usize;
        if positions.len() < used + BLOCK {
            positions.resize(2 * (used + BLOCK), 0);
        }
        let slots = positions.get_mut(used..).unwrap_or_default();
        if let Some(first) = slots.first_chunk_mut::<WITHOUT_BRANCH>() {
            for slot in first {
                *slot = base.wrapping_add(found.trailing_zeros());
                found &= found.wrapping_sub(1);
            }
        }
        for slot in slots.iter_mut().take(count).skip(WITHOUT_BRANCH) {
            *slot = base.wrapping_add(found.trailing_zeros());
            found &= found.wrapping_sub(1);
        }
        used += count;
        base += u64::BITS;
    }
    positions.truncate(used);
    positions.extend((base..).zip(rest).filter(|(_, b)| **b == byte).map(|(at, _)| at));
}

/// A mask with one bit for each byte of a block that equals `byte`.
fn equal_mask_of_block(block: &[u8; BLOCK], byte: u8) -> u64 {
    let (parts, _) = block.as_chunks();
    parts.iter().rev().fold(0, |found, part| found << WIDE | u64::from(equal_mask(part, byte)))
}

/// The bytes after the first occurrence of `needle`.
pub(crate) fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(text, needle).map(|at| from(text, at + needle.len()))
}

/// Whether a byte may stand in the name of a system call.
pub(crate) fn in_name(b: u8) -> bool {
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
                    // The other bytes differ in one bit only.
                    let mut text: Vec<u8> = (0..length).map(|i| b'=' ^ (1 << (i % 8))).collect();
                    text[first] = b'=';
                    text[second] = b'=';
                    let near = second + 16 >= length;
                    assert_eq!(
                        (find_near_start(&text, b'='), find_near_end(&text, b'=')),
                        (Some(first), near.then_some(second))
                    );
                }
            }
            assert_eq!(
                (find_near_start(&vec![0; length], b'='), find_near_end(&vec![0; length], b'=')),
                (None, None)
            );
        }
    }

    #[test]
    fn all_positions_of_a_byte_are_found() {
        let mut positions = vec![7; 3];
        for length in (0..300).chain([5000]) {
            // No byte, every byte, and fewer and fewer bytes are newlines.
            for step in [usize::MAX, 1, 2, 3, 5, 20, 63, 64, 65] {
                let want: Vec<u32> =
                    (0..length).step_by(step).filter(|_| step < usize::MAX).collect();
                let mut text = vec![0; length as usize];
                for &at in &want {
                    text[at as usize] = b'\n';
                }
                find_all(&text, b'\n', &mut positions);
                assert_eq!(positions, want, "{length} {step}");
            }
        }
    }
}
