//! The totals of an enforcement: as fields, as a sentence, and as warnings.

use crate::cli::format::count::counted;
use crate::kernel::Totals;
use serde_json::Value;

/// Totals as the value of `totals`, in each event that has them.
pub(crate) fn totals_json(totals: &Totals) -> Value {
    let fields = totals.each().map(|total| (total.name.to_string(), total.value.into()));
    Value::Object(fields.collect())
}

/// Totals as a sentence.
pub(crate) fn totals_sentence(totals: &Totals) -> String {
    let denials = match totals.denials {
        0 => String::new(),
        some => format!("{}, ", counted(some, "denial")),
    };
    format!(
        "judged {}: {}, {}, {denials}{} lost",
        counted(totals.judged, "call"),
        counted(totals.violations, "violation"),
        counted(totals.kills, "kill"),
        counted(totals.events_lost, "event"),
    )
}

/// What of the totals should not be.
pub(crate) fn warnings(totals: &Totals) -> Vec<String> {
    let counts = [
        (totals.kills_failed, "kill that the kernel refused"),
        (totals.protections, "attempt of a watched program on the enforcer or its BPF objects, refused"),
        (
            totals.threads_refused,
            "thread whose state found no room (its process was killed, or, only logging, went on unwatched)",
        ),
        (totals.frames_dropped, "signal frame dropped past the limit"),
        (
            totals.recursion_misses,
            "event of some process that the kernel did not show (two tasks at once in one program)",
        ),
        (totals.stacks_lost, "stack of a violation that could not be read"),
    ];
    let reported = counts.into_iter().filter(|(count, _)| *count > 0);
    reported.map(|(count, what)| format!("{count} × {what}")).collect()
}
