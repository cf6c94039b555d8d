//! `sysfsm status`: what is enforced, whoever has begun it.

use crate::cli::commands::pinned::{nothing, Args};
use crate::cli::events::totals::{say_totals, totals_json};
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report::counted;
use crate::cli::io::time::stamp;
use crate::cli::policies::subject::with_cgroup;
use crate::cli::policies::watched::{by_policy, Under};
use crate::kernel::{Pinned, Pins, Totals};
use crate::policy::Subject;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let pins = Pins::at(&args.pins);
    let Some(pinned) = Pinned::find(&pins)? else {
        nothing(args, "status")?;
        return Ok(ExitCode::from(1));
    };
    let attended = pins.has_agent();
    let (manifest, totals, watched) = (pinned.manifest(), pinned.totals()?, pinned.watched()?);
    let under = by_policy(watched.as_deref().unwrap_or_default(), manifest);
    if args.json {
        output::line(&status_json(&pinned, attended, totals.as_ref(), &under).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let doing = if manifest.log_only {
        "watching (log only)".into()
    } else {
        format!("enforcing at level {}", manifest.level())
    };
    let by = if attended { "attended" } else { "nobody reads its events" };
    output::line(&format!(
        "{doing} since {}, by sysfsm {}; {by}",
        stamp(manifest.since()),
        manifest.version
    ))?;
    output::line(&counted(manifest.policies().count() as u64, "policy"))?;
    for (subject, under) in &under {
        output::line(&format!(
            "  {subject}: {}, {}",
            counted(under.processes.len() as u64, "process"),
            counted(under.threads as u64, "thread"),
        ))?;
    }
    match &totals {
        Some(totals) => say_totals(totals),
        None => eprintln!(
            "its totals and its threads are another version's: ask the one that has loaded it"
        ),
    }
    Ok(ExitCode::SUCCESS)
}

fn status_json(
    pinned: &Pinned,
    attended: bool,
    totals: Option<&Totals>,
    under: &BTreeMap<Subject, Under>,
) -> Value {
    let manifest = pinned.manifest();
    let policy = |(subject, under): (&Subject, &Under)| {
        let policy = json!({"binary": subject.binary, "processes": under.processes.len(),
            "threads": under.threads});
        with_cgroup(policy, subject)
    };
    let policies: Vec<Value> = under.iter().map(policy).collect();
    let reloads = pinned.reloads().map(|(done, refused)| json!({"done": done, "refused": refused}));
    json!({
        "event": "status",
        "time": stamp(SystemTime::now()),
        "enforced": true,
        "attended": attended,
        "version": manifest.version,
        "since": stamp(manifest.since()),
        "level": manifest.level().as_str(),
        "hooks": manifest.hooks,
        "functions": manifest.functions,
        "left_out": manifest.unsupported,
        "log_only": manifest.log_only,
        "policies": policies,
        "former_policies": manifest.draining(),
        "in_fallback": pinned.in_fallback(),
        "reloads": reloads,
        "totals": totals.map(totals_json),
    })
}
