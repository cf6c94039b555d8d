//! What `status`, `reload` and `stop` have in common: they look for what is pinned.

use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::time::stamp;
use crate::kernel::Pins;
use serde_json::json;
use std::path::PathBuf;
use std::time::SystemTime;

/// What `status`, `reload` and `stop` are given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Where it is pinned
    #[arg(long, value_name = "DIR", default_value = Pins::ROOT)]
    pub(crate) pins: PathBuf,
}

/// Nothing is pinned there.
pub(crate) fn nothing(args: &Args, event: &str) -> Result<(), Failure> {
    output::line(&if args.json {
        json!({"event": event, "time": stamp(SystemTime::now()), "enforced": false}).to_string()
    } else {
        format!(
            "nothing is pinned in {}: nothing is enforced beyond the end of its process",
            args.pins.display()
        )
    })
}
