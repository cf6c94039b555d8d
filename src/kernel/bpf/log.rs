//! libbpf's own messages. They are kept for the error that they belong to, and not printed.

use libbpf_rs::PrintLevel;
use std::sync::Mutex;

static MESSAGES: Mutex<String> = Mutex::new(String::new());

/// How many bytes are kept: enough for the end of a verifier's log, which has the reason.
const MAX_BYTES: usize = 64 * 1024;

/// From now on libbpf's warnings are kept for [`take`]. All its messages go to `tracing`.
pub(crate) fn capture() {
    libbpf_rs::set_print(Some((PrintLevel::Debug, keep)));
    drop(take());
}

/// The warnings of libbpf since the last call.
pub(crate) fn take() -> String {
    MESSAGES.lock().map(|mut m| std::mem::take(&mut *m)).unwrap_or_default()
}

#[allow(clippy::needless_pass_by_value)] // libbpf-rs wants a function of this type.
fn keep(level: PrintLevel, message: String) {
    tracing::debug!(target: "libbpf", "{}", message.trim_end());
    if level == PrintLevel::Warn
        && let Ok(mut messages) = MESSAGES.lock()
    {
        if messages.len() + message.len() > MAX_BYTES {
            messages.clear();
        }
        messages.push_str(&message);
    }
}
