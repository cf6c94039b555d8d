//! Violations that the kernel has judged, as events.

use crate::cli::events::event::{Event, Kind};
use crate::cli::events::violation::event;
use crate::cli::format::count::counted;
use crate::cli::format::time::stamp;
use crate::explain::Violation;
use crate::kernel;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::time::SystemTime;

fn of_kind(kind: &kernel::Kind) -> Violation {
    let selector = kind.policy.selector();
    let mut violation =
        Violation::new(&selector, kind.action, kind.reason, &kind.context, kind.symbol.as_str());
    violation.number = kind.number;
    if kind.any_context {
        violation.context = vec!["*".into()];
    }
    violation
}

/// The event of one violation. With `identified` it has an id, by which `explain` finds it.
pub(crate) fn of(found: &kernel::Violation, identified: bool) -> Event {
    let mut violation = of_kind(&found.kind);
    violation.time = Some(stamp(found.time).into());
    violation.pid = Some(found.pid);
    violation.tid = Some(found.tid);
    violation.comm = Some(found.comm.clone());
    violation.args = found.args.iter().map(|a| format!("{a:#x}").into()).collect();
    violation.ip = Some(format!("{:#x}", found.ip).into());
    violation.kill_failed = Some(found.kill_failed);
    let mut event = event(Kind::Violation, &violation).saying(format!(
        "{} pid {} tid {} ({}): {}: {}",
        violation.selector(),
        found.pid,
        found.tid,
        found.comm,
        violation.sentence(),
        violation.outcome(),
    ));
    if identified {
        let id = id(&event);
        event.fields.insert(0, ("id", id.into()));
    }
    event
}

/// The hash of all other fields.
fn id(event: &Event) -> String {
    const BYTES: usize = 6;
    let digest = Sha256::digest(event.to_json());
    digest.iter().take(BYTES).fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// The event of violations that were only counted.
pub(crate) fn repeated(found: &kernel::Repeated) -> Event {
    let mut violation = of_kind(&found.kind);
    violation.time = Some(stamp(SystemTime::now()).into());
    violation.count = Some(found.count);
    event(Kind::Repeated, &violation).saying(format!(
        "{}: {} more: {}: {}",
        violation.selector(),
        counted(found.count, "violation"),
        violation.sentence(),
        violation.outcome(),
    ))
}
