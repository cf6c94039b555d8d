//! `sysfsm unwind-stacks`: the helper process of `enforce --learn-to`. Nobody calls it by hand.

use crate::cli::io::failure::Failure;
use crate::kernel::run_unwind_helper;
use std::process::ExitCode;

pub(crate) fn run() -> Result<ExitCode, Failure> {
    match run_unwind_helper() {
        Ok(never) => match never {},
        Err(error) => Err(Failure::new(
            format!("the helper process does not start: {error}"),
            "`sysfsm enforce --learn-to FILE` starts it",
        )),
    }
}
