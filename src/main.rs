//! The command-line tool: parse, run, map the outcome to an exit status.

use clap::Parser as _;
use std::process::ExitCode;
use sysfsm::cli::{self, Cli};

fn main() -> ExitCode {
    cli::main(Cli::parse())
}
