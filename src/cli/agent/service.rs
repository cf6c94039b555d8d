//! Notices to the service manager, if there is one (`sd_notify(3)`).

use sd_notify::{notify, NotifyState};

/// The service has started, and `what` is its status.
pub(crate) fn ready(what: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(what)]);
}

/// The service has another status.
pub(crate) fn status(what: &str) {
    send(&[NotifyState::Status(what)]);
}

/// The policies are read again; [`ready`] follows, whatever comes out.
pub(crate) fn reloading() {
    send(&[NotifyState::Reloading]);
}

/// The process ends.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(e) = notify(states) {
        tracing::warn!("cannot notify the service manager: {e}");
    }
}
