//! `sysfsm generate`: completions and man pages. Hidden: only `make install` asks for it.

use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::man;
use crate::text::shown;
use clap::Command;
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `generate` is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write a shell's completions to stdout
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages into a directory
    Man {
        /// The directory, which must exist
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// `whole` is the command line with all that is in it.
pub(crate) fn run(args: &Args, whole: &Command) -> Result<ExitCode, Failure> {
    match &args.what {
        What::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut visible(whole), "sysfsm", &mut script);
            output::write(Path::new("-"), &String::from_utf8_lossy(&script))?;
        }
        What::Man { directory } => man::write(visible(whole), directory)
            .map_err(|e| Failure::writing(&shown(&directory).to_string(), &e))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The command line without what is hidden: completions would offer it.
fn visible(whole: &Command) -> Command {
    let shown: Vec<Command> =
        whole.get_subcommands().filter(|c| !c.is_hide_set()).cloned().collect();
    Command::new("sysfsm")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .after_help(whole.get_after_help().cloned().unwrap_or_default())
        .subcommand_required(true)
        .subcommands(shown)
}
