//! Violations as events.

use crate::cli::events::event::{Event, Kind};
use crate::explain::Violation;

/// The event of a violation: every field that is known.
pub(crate) fn event(kind: Kind, violation: &Violation) -> Event {
    let args = (!violation.args.is_empty()).then(|| violation.args.clone());
    Event::new(kind)
        .with_some("id", violation.id.as_ref())
        .with_some("time", violation.time.as_ref())
        .with("reason", violation.reason.as_str())
        .with("action", violation.action.as_str())
        .about(&violation.selector())
        .with_some("pid", violation.pid)
        .with_some("tid", violation.tid)
        .with_some("comm", violation.comm.as_ref())
        .with("context", violation.context.clone())
        .with("symbol", &violation.symbol)
        .with_some("number", violation.number)
        .with_some("call", violation.call.as_ref())
        .with_some("args", args)
        .with_some("ip", violation.ip.as_ref())
        .with_some("count", violation.count)
        .with_some("kill_failed", violation.kill_failed)
        .with_some("file", violation.file.as_ref())
        .with_some("line", violation.line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::machine::{Context, Depth, Reason};
    use crate::policy::{Action, PolicySelector};
    use crate::syscall::{nr, Symbol};

    #[test]
    fn what_is_written_is_what_is_read() {
        let selector = PolicySelector { binary: "/bin/x".into(), cgroup: Some("/a".into()) };
        let context = Context::start(Symbol::Call(nr::EXECVE), Depth::default());
        let bare = Violation::new(&selector, Action::Deny, Reason::Transition, &context, "openat");
        let full = Violation {
            id: Some("0123".into()),
            time: Some("now".into()),
            pid: Some(1),
            tid: Some(2),
            comm: Some("x".into()),
            number: Some(3),
            call: Some("read".into()),
            args: vec!["0x1".into()],
            ip: Some("0x2".into()),
            kill_failed: Some(false),
            file: Some("log".into()),
            line: Some(4),
            ..bare.clone()
        };
        for violation in [bare, full] {
            let line = event(Kind::Violation, &violation).to_json();
            assert_eq!(Violation::parse(&line).unwrap(), violation, "{line}");
        }
    }
}
