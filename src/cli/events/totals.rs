//! The totals of an enforcement, for people and as JSON.

use crate::cli::io::report::{self, counted};
use crate::kernel::Totals;
use serde_json::{Map, Value};

/// Totals as the keys of a JSON object.
pub(crate) fn totals_json(totals: &Totals) -> Map<String, Value> {
    totals.each().map(|total| (total.name.into(), total.value.into())).collect()
}

/// Totals as a sentence, to stderr, and what of them is to be warned of.
pub(crate) fn say_totals(totals: &Totals) {
    eprintln!("{}", totals_sentence(totals));
    warn_of_totals(totals);
}

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

pub(crate) fn warn_of_totals(totals: &Totals) {
    for (count, what) in [
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
    ] {
        if count > 0 {
            report::warn(&format!("{count} × {what}"), "");
        }
    }
}
