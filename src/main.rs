//! The command-line tool: parse, run, map the outcome to an exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    sysfsm::cli::main()
}
