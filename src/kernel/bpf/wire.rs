//! Records of the C header as bytes, and back.

use plain::Plain;

/// A record's bytes.
pub(crate) fn bytes<T: Plain>(record: &T) -> &[u8] {
    // SAFETY: a `Plain` type has no hidden padding.
    unsafe { plain::as_bytes(record) }
}

/// The record at the beginning of some bytes; `None` if they are too few.
pub(crate) fn record<T: Plain + Default>(bytes: &[u8]) -> Option<T> {
    let mut record = T::default();
    plain::copy_from_bytes(&mut record, bytes).ok()?;
    Some(record)
}
