//! The totals of an enforcement, for people and as JSON.

use crate::cli::io::report::{self, counted};
use crate::kernel::Totals;
use serde_json::{json, Map, Value};

/// Totals as the keys of a JSON object.
pub(crate) fn totals_json(totals: &Totals) -> Map<String, Value> {
    Map::from_iter([
        ("judged".into(), json!(totals.judged)),
        ("violations".into(), json!(totals.violations)),
        ("kills".into(), json!(totals.kills)),
        ("kills_failed".into(), json!(totals.kills_failed)),
        ("denials".into(), json!(totals.denials)),
        ("caught_up".into(), json!(totals.caught_up)),
        ("vetoes".into(), json!(totals.vetoes)),
        ("protections".into(), json!(totals.protections)),
        ("events_lost".into(), json!(totals.events_lost)),
        ("frames_dropped".into(), json!(totals.frames_dropped)),
        ("spares".into(), json!(totals.spares)),
        ("threads_refused".into(), json!(totals.threads_refused)),
        ("missed".into(), json!(totals.missed)),
        ("adopted".into(), json!(totals.adopted)),
        ("untallied".into(), json!(totals.untallied)),
    ])
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
            totals.missed,
            "event of some process that the kernel did not show (two tasks at once in one program)",
        ),
    ] {
        if count > 0 {
            report::warn(&format!("{count} × {what}"), "");
        }
    }
}
