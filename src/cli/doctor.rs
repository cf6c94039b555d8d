//! `sysfsm doctor`: what this kernel offers.

use super::{output, Failure};
use crate::kernel::{probe, Level};
use serde_json::json;
use std::process::ExitCode;

/// What `doctor` is given.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let findings = probe::probe();
    // Each depends on the one before, and is left out where that failed.
    let level = findings.iter().all(|f| f.found).then_some(Level::Kill);
    for finding in &findings {
        output::line(&if args.json {
            json!({"event": "capability", "name": finding.name, "found": finding.found, "detail": finding.detail})
                .to_string()
        } else {
            let mark = if finding.found { "yes" } else { "NO " };
            format!("{mark}  {:<10} {}", finding.name, finding.detail)
        })?;
    }
    output::line(&if args.json {
        json!({"event": "level", "level": level.map(Level::as_str)}).to_string()
    } else {
        match level {
            Some(level) => format!("level: {level} (a violating call's process is killed; the call itself may still take effect)"),
            None => "level: none (enforce does not start here)".into(),
        }
    })?;
    Ok(if level.is_some() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
