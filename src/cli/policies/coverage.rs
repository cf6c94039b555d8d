//! How complete a policy is, for people and as JSON.

use crate::cli::events::event::{Event, Kind};
use crate::cli::format::count::counted;
use crate::machine::{Coverage, CONFIDENCE};
use crate::policy::Policy;
use serde_json::{json, Value};

/// `12 runs, 31 of 210 transitions seen in one run only; the next run shows something new with
/// probability 0.21 (95%: 0.05 to 0.48)`.
pub(crate) fn line(policy: &Policy) -> String {
    let coverage = Coverage::of(&policy.machine, policy.runs);
    let runs = counted(coverage.runs, "run");
    match coverage.novelty {
        Ok(chance) => format!(
            "{runs}, {} of {} seen in one run only; the next run shows something new with probability {:.2} \
             ({:.0}%: {:.2} to {:.2})",
            coverage.seen_once,
            counted(coverage.transitions, "transition"),
            chance.estimate,
            CONFIDENCE * 100.0,
            chance.low,
            chance.high,
        ),
        Err(reason) if coverage.runs == 0 => format!("how complete it is cannot be estimated: {reason}"),
        Err(reason) => format!("{runs}; how complete it is cannot be estimated: {reason}"),
    }
}

/// The completeness of several policies, in a few words: the chance of the policy that the next run
/// most likely shows something new of.
#[cfg(feature = "kernel")]
pub(crate) fn summary(policies: &[Policy]) -> String {
    let novelty = |policy: &Policy| Coverage::of(&policy.machine, policy.runs).novelty.ok();
    let chances = policies.iter().filter_map(novelty).map(|chance| chance.estimate);
    match chances.max_by(f64::total_cmp) {
        Some(chance) => format!("the next run shows something new with probability {chance:.2}"),
        None => "how complete it is cannot be estimated yet".into(),
    }
}

/// The value of `coverage` in JSON. Where there is no estimate `novelty` is null, and `no_novelty`
/// says why.
pub(crate) fn json(policy: &Policy) -> Value {
    let coverage = Coverage::of(&policy.machine, policy.runs);
    let rounded = |p: f64| (p * 10_000.0).round() / 10_000.0;
    let mut object = json!({
        "runs": coverage.runs,
        "calls": coverage.calls,
        "transitions": coverage.transitions,
        "seen_once": coverage.seen_once,
        "seen_twice": coverage.seen_twice,
        "novelty": coverage.novelty.ok().map(|chance| json!({
            "probability": rounded(chance.estimate),
            "low": rounded(chance.low),
            "high": rounded(chance.high),
            "confidence": CONFIDENCE,
        })),
    });
    if let (Err(reason), Some(object)) = (coverage.novelty, object.as_object_mut()) {
        object.insert("no_novelty".into(), json!(reason.to_string()));
    }
    object
}

/// The event of a policy's completeness, for a subcommand whose data is something else.
pub(crate) fn event(policy: &Policy) -> Event {
    Event::new(Kind::Coverage).about(&policy.selector()).with("coverage", json(policy))
}
