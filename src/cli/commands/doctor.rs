//! `sysfsm doctor`: what this kernel offers.

use crate::cli::events::event::{Event, Kind};
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::kernel::{doctor, Level};
use std::process::ExitCode;

/// What `doctor` is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let report = doctor::probe();
    for finding in &report.findings {
        output::line(&if args.json {
            Event::new(Kind::Capability)
                .with("name", finding.name)
                .with("found", finding.found)
                .with("needed", finding.needed)
                .with("detail", finding.detail.as_str())
                .to_json()
        } else {
            let mark = match (finding.found, finding.needed) {
                (true, _) => "yes",
                (false, true) => "NO ",
                (false, false) => "no ",
            };
            format!("{mark}  {:<18} {}", finding.name, finding.detail)
        })?;
    }
    output::line(&if args.json {
        Event::new(Kind::Level)
            .with("level", report.level.map(Level::as_str))
            .with("next", report.next.clone())
            .to_json()
    } else {
        let level = report.level.map_or("none: enforce does not start here".into(), |level| {
            format!("{level}: {}", promise(level))
        });
        let next = report.next.as_ref().map_or(String::new(), |next| format!("\nnext:  {next}"));
        format!("level: {level}{next}")
    })?;
    Ok(if report.level.is_some() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn promise(level: Level) -> &'static str {
    match level {
        Level::Kill => {
            "a violating call's process is killed; the call itself may still take effect"
        }
        Level::Contain => {
            "a violating call is refused wherever it asks the LSMs, before it takes effect"
        }
        Level::Prevent => "a violating call is refused before it takes effect",
    }
}
