//! `sysfsm reload`: asks the agent to read its policies again.

use crate::cli::commands::pinned::Args;
use crate::cli::events::event::{Event, Kind};
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::kernel::{Pinned, Pins};
use std::process::ExitCode;
use std::time::Duration;

/// Asks the agent to read its policies again, and waits for the answer.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    const PATIENCE: Duration = Duration::from_secs(60);
    let pins = Pins::at(&args.pins);
    let none = |what: &str| Failure::new(what, "begin with: sysfsm enforce --pin --policy DIR");
    if Pinned::find(&pins)?.is_none() {
        return Err(none("nothing is enforced that could be reloaded"));
    }
    if !pins.has_agent() {
        return Err(none("no agent runs, so nobody can reload what is enforced"));
    }
    let Some(refused) = Pinned::ask(&pins, PATIENCE)? else {
        return Err(none("the agent does not answer"));
    };
    if args.json {
        let outcome = if refused { "refused" } else { "reloaded" };
        output::event(&Event::new(Kind::Reload).now().with("outcome", outcome))?;
    } else if !refused {
        output::line("reloaded")?;
    }
    if refused {
        return Err(Failure::new(
            "the reload failed",
            "the agent has said why, and what is enforced now: see its output, or `journalctl -u sysfsm`",
        ));
    }
    Ok(ExitCode::SUCCESS)
}
