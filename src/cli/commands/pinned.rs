//! What `status`, `reload` and `stop` have in common: they look for what is pinned.

use crate::cli::events::event::{Event, Kind};
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::kernel::Pins;
use crate::text::shown;
use std::path::PathBuf;

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

/// Nothing is pinned there: the answer of the subcommand whose event is of this kind.
pub(crate) fn nothing(args: &Args, kind: Kind) -> Result<(), Failure> {
    output::line(&if args.json {
        Event::new(kind).now().with("enforced", false).to_json()
    } else {
        format!(
            "nothing is pinned in {}: nothing is enforced beyond the end of its process",
            shown(&args.pins)
        )
    })
}
