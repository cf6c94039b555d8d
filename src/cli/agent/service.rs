//! What the service manager is told, if there is one (`sd_notify(3)`).

use sd_notify::{notify, NotifyState};

/// What it was started for goes on.
pub(crate) fn ready(what: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(what)]);
}

/// The policies are read again; [`ready`] follows, whatever comes out.
pub(crate) fn reloading() {
    tell(&[NotifyState::Reloading]);
}

/// The process ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = notify(states) {
        tracing::warn!("the service manager cannot be told: {e}");
    }
}
