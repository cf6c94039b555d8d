//! `sysfsm reload`: asks the agent to read its policies again.

use crate::cli::commands::pinned::Args;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::time::stamp;
use crate::kernel::{Pinned, Pins};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Asks who attends to read the policies again, and waits for the answer.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let pins = Pins::at(&args.pins);
    let none = |what: &str| Failure::new(what, "begin with: sysfsm enforce --pin --policy DIR");
    if Pinned::find(&pins)?.is_none() {
        return Err(none("nothing is enforced that could be reloaded"));
    }
    if !pins.has_agent() {
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
