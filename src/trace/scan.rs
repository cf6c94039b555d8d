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

/// The bytes after the first occurrence of `needle`.
pub(super) fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(text, needle).map(|at| from(text, at + needle.len()))
}

/// A byte that may stand in the name of a system call.
pub(super) fn in_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}
