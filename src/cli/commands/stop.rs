//! `sysfsm stop`: the end of what is enforced, whoever has begun it.

use crate::cli::commands::pinned::{nothing, Args};
use crate::cli::events::event::{Event, Kind};
use crate::cli::events::totals::{totals_json, totals_sentence, warnings};
use crate::cli::format::time::stamp;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report;
use crate::kernel::{Pinned, Pins};
use std::process::ExitCode;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let Some((found, totals)) = Pinned::stop(&Pins::at(&args.pins))? else {
        nothing(args, Kind::Stop)?;
        return Ok(ExitCode::SUCCESS);
    };
    let since = stamp(found.manifest().since());
    if args.json {
        let event = Event::new(Kind::Stop)
            .now()
            .with("enforced", true)
            .with("since", since)
            .with("totals", totals.as_ref().map(totals_json));
        output::event(&event)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("ended what was enforced since {since}"))?;
    if let Some(totals) = &totals {
        output::line(&totals_sentence(totals))?;
        report::warn_all(&warnings(totals));
    }
    Ok(ExitCode::SUCCESS)
}
