//! `sysfsm status`: what is enforced, whoever has begun it.

use crate::cli::commands::pinned::{nothing, Args};
use crate::cli::events::enforcement::{not_refused, words};
use crate::cli::events::event::{Event, Kind};
use crate::cli::events::totals::{totals_json, totals_sentence, warnings};
use crate::cli::format::count::counted;
use crate::cli::format::time::stamp;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report;
use crate::cli::policies::selector::with_cgroup;
use crate::cli::policies::watched::{by_policy, Under};
use crate::kernel::{uncovered_names, Mechanism, Pinned, Pins, Totals};
use crate::policy::PolicySelector;
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let pins = Pins::at(&args.pins);
    let Some(pinned) = Pinned::find(&pins)? else {
        nothing(args, Kind::Status)?;
        return Ok(ExitCode::from(1));
    };
    let has_agent = pins.has_agent();
    let (manifest, totals, watched) = (pinned.manifest(), pinned.totals()?, pinned.watched()?);
    let under = by_policy(watched.as_deref().unwrap_or_default(), manifest);
    // The agent may be stopped, or there may be none: vetoes are tried here too.
    let failing = pinned.self_test()?;
    let status = ExitCode::from(u8::from(!failing.is_empty()));
    if args.json {
        output::event(&event(&pinned, has_agent, totals.as_ref(), &under, &failing))?;
        return Ok(status);
    }
    if !failing.is_empty() {
        output::line(&not_refused(&failing))?;
    }
    let doing = if manifest.log_only {
        "watching (log only)".into()
    } else {
        format!("enforcing at level {}", manifest.level())
    };
    let by = if has_agent { "an agent reads its events" } else { "no agent reads its events" };
    output::line(&format!(
        "{doing} since {}, by sysfsm {}; {by}",
        stamp(manifest.since()),
        manifest.version
    ))?;
    output::line(&counted(manifest.policies().count() as u64, "policy"))?;
    for (selector, under) in &under {
        output::line(&format!(
            "  {selector}: {}, {}",
            counted(under.processes.len() as u64, "process"),
            counted(under.threads as u64, "thread"),
        ))?;
    }
    match &totals {
        Some(totals) => {
            output::line(&totals_sentence(totals))?;
            report::warn_all(&warnings(totals));
        }
        None => output::line(
            "its totals and its threads are another version's: ask the one that has loaded it",
        )?,
    }
    Ok(status)
}

fn event(
    pinned: &Pinned,
    has_agent: bool,
    totals: Option<&Totals>,
    under: &BTreeMap<PolicySelector, Under>,
    failing: &[Mechanism],
) -> Event {
    let manifest = pinned.manifest();
    let policy = |(selector, under): (&PolicySelector, &Under)| {
        let policy = json!({"policy": selector.binary, "processes": under.processes.len(),
            "threads": under.threads});
        with_cgroup(policy, selector)
    };
    let reloads = pinned.reloads().map(|(done, refused)| json!({"done": done, "refused": refused}));
    Event::new(Kind::Status)
        .now()
        .with("enforced", true)
        .with("has_agent", has_agent)
        .with("version", manifest.version.as_str())
        .with("since", stamp(manifest.since()))
        .with("level", manifest.level().as_str())
        .with("hooks", manifest.hooks)
        .with("functions", manifest.functions)
        .with("unsupported", manifest.unsupported.clone())
        .with("failing", words(failing))
        .with("alarms", pinned.alarms().map(|(_, count)| count))
        .with("uncovered", uncovered_names(manifest.level()))
        .with("log_only", manifest.log_only)
        .with("policies", under.iter().map(policy).collect::<Vec<_>>())
        .with("draining_policies", manifest.draining())
        .with("threads_in_fallback", pinned.in_fallback())
        .with("reloads", reloads)
        .with("totals", totals.map(totals_json))
}
