//! `sysfsm status` and `sysfsm stop`: what is enforced whoever has begun it, and its end.

use super::printer::{say_totals, totals_json};
use super::report::counted;
use super::time::stamp;
use super::{output, Failure};
use crate::kernel::{Manifest, Pinned, Pins, Totals, Watched};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

/// What `status` and `stop` are given.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Where it is pinned
    #[arg(long, value_name = "DIR", default_value = Pins::ROOT)]
    pins: PathBuf,
}

/// Processes and threads that are watched under one policy.
#[derive(Default)]
struct Under {
    processes: BTreeSet<u32>,
    threads: usize,
}

pub(super) fn status(args: &Args) -> Result<ExitCode, Failure> {
    let pins = Pins::at(&args.pins);
    let Some(pinned) = Pinned::find(&pins)? else {
        nothing(args, "status")?;
        return Ok(ExitCode::from(1));
    };
    let attended = pins.attended();
    let (manifest, totals, watched) = (pinned.manifest(), pinned.totals()?, pinned.watched()?);
    let under = by_policy(watched.as_deref().unwrap_or_default());
    if args.json {
        output::line(&status_json(manifest, attended, totals.as_ref(), &under).to_string())?;
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
    output::line(&counted(manifest.policies_count() as u64, "policy"))?;
    for (policy, under) in &under {
        output::line(&format!(
            "  {}: {}, {}",
            manifest.binary(*policy).unwrap_or("?"),
            counted(under.processes.len() as u64, "process"),
            counted(under.threads as u64, "thread"),
        ))?;
    }
    match &totals {
        Some(totals) => say_totals(totals),
        None => eprintln!("its totals and its threads are another version's: ask the one that has loaded it"),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn stop(args: &Args) -> Result<ExitCode, Failure> {
    let Some((found, totals)) = Pinned::stop(&Pins::at(&args.pins))? else {
        nothing(args, "stop")?;
        return Ok(ExitCode::SUCCESS);
    };
    if args.json {
        let mut event = json!({
            "event": "stop",
            "time": stamp(SystemTime::now()),
            "enforced": true,
            "since": stamp(found.manifest().since()),
        });
        if let (Some(event), Some(totals)) = (event.as_object_mut(), &totals) {
            event.extend(totals_json(totals));
        }
        output::line(&event.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("ended what was enforced since {}", stamp(found.manifest().since())))?;
    totals.iter().for_each(say_totals);
    Ok(ExitCode::SUCCESS)
}

fn nothing(args: &Args, event: &str) -> Result<(), Failure> {
    output::line(&if args.json {
        json!({"event": event, "time": stamp(SystemTime::now()), "enforced": false}).to_string()
    } else {
        format!(
            "nothing is pinned in {}: nothing is enforced beyond the end of its process",
            args.pins.display()
        )
    })
}

fn by_policy(watched: &[Watched]) -> BTreeMap<usize, Under> {
    let mut all: BTreeMap<usize, Under> = BTreeMap::new();
    for thread in watched {
        let Some(policy) = (thread.policy as usize).checked_sub(1) else { continue };
        let under = all.entry(policy).or_default();
        under.processes.insert(thread.pid);
        under.threads += 1;
    }
    all
}

fn status_json(
    manifest: &Manifest,
    attended: bool,
    totals: Option<&Totals>,
    under: &BTreeMap<usize, Under>,
) -> Value {
    let policies: Vec<Value> = (0..manifest.policies_count())
        .map(|policy| {
            let (processes, threads) = under.get(&policy).map_or((0, 0), |u| (u.processes.len(), u.threads));
            json!({"binary": manifest.binary(policy), "processes": processes, "threads": threads})
        })
        .collect();
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
        "left_out": manifest.left_out,
        "log_only": manifest.log_only,
        "policies": policies,
        "totals": totals.map(totals_json),
    })
}
