//! Records as the kernel has them: bytes.

use plain::Plain;

/// A record's bytes.
pub(crate) fn bytes<T: Plain>(record: &T) -> &[u8] {
    // SAFETY: `Plain` promises plain bytes without hidden padding.
    unsafe { plain::as_bytes(record) }
}

/// The record that bytes are; `None` if they are too few.
pub(crate) fn record<T: Plain + Default>(bytes: &[u8]) -> Option<T> {
    let mut record = T::default();
    plain::copy_from_bytes(&mut record, bytes).ok()?;
    Some(record)
}
