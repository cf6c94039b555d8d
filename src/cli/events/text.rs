//! Events as lines for people.

use crate::cli::events::event::{Event, Kind};

/// An event as text. A violation has its time, and with `id` the name by which `explain` finds it.
pub(crate) fn text(event: &Event, id: bool) -> String {
    let lines = event.lines.join("\n");
    if !is_violation(event.kind) {
        return lines;
    }
    let time = event.text_of("time").unwrap_or_default();
    match event.text_of("id").filter(|_| id) {
        Some(id) => format!("{time} {lines} [{id}]"),
        None => format!("{time} {lines}"),
    }
}

/// Whether an event is what `enforce` was started to find: it goes to stdout.
pub(crate) fn is_violation(kind: Kind) -> bool {
    matches!(kind, Kind::Violation | Kind::Repeated)
}
