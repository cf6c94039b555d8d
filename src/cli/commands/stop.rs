//! `sysfsm stop`: the end of what is enforced, whoever has begun it.

use crate::cli::commands::pinned::{nothing, Args};
use crate::cli::events::totals::{say_totals, totals_json};
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::time::stamp;
use crate::kernel::{Pinned, Pins};
use serde_json::json;
use std::process::ExitCode;
use std::time::SystemTime;

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
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
