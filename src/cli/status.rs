//! `sysfsm status`, `sysfsm reload` and `sysfsm stop`: what is enforced whoever has begun it, its
//! change, and its end.

use super::printer::{say_totals, totals_json};
use super::report::counted;
use super::subject::with_cgroup;
use super::time::stamp;
use super::watched::{by_policy, Under};
use super::{output, Failure};
use crate::kernel::{Pinned, Pins, Totals};
use crate::policy::Subject;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// What `status`, `reload` and `stop` are given.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Where it is pinned
    #[arg(long, value_name = "DIR", default_value = Pins::ROOT)]
    pins: PathBuf,
}

pub(super) fn status(args: &Args) -> Result<ExitCode, Failure> {
    let pins = Pins::at(&args.pins);
    let Some(pinned) = Pinned::find(&pins)? else {
        nothing(args, "status")?;
        return Ok(ExitCode::from(1));
    };
    let attended = pins.attended();
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

/// Asks who attends to read the policies again, and waits for the answer.
pub(super) fn reload(args: &Args) -> Result<ExitCode, Failure> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let pins = Pins::at(&args.pins);
    let none = |what: &str| Failure::new(what, "begin with: sysfsm enforce --pin --policy DIR");
    if Pinned::find(&pins)?.is_none() {
        return Err(none("nothing is enforced that could be reloaded"));
    }
    if !pins.attended() {
        return Err(none("nobody attends to what is enforced, so nobody can reload it"));
    }
    let Some(refused) = Pinned::ask(&pins, PATIENCE)? else {
        return Err(none("who attends to it does not answer"));
    };
    if args.json {
        let outcome = if refused { "refused" } else { "reloaded" };
        let event =
            json!({"event": "reload", "time": stamp(SystemTime::now()), "outcome": outcome});
        output::line(&event.to_string())?;
    } else if !refused {
        output::line("reloaded")?;
    }
    if refused {
        return Err(Failure::new(
            "the reload failed",
            "who attends to it has said why, and how that leaves what is enforced: see its output, or `journalctl -u sysfsm`",
        ));
    }
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
        "left_out": manifest.left_out,
        "log_only": manifest.log_only,
        "policies": policies,
        "former_policies": manifest.former(),
        "in_spares": pinned.in_spares(),
        "reloads": reloads,
        "totals": totals.map(totals_json),
    })
}
