//! `sysfsm top`: what is enforced, as it goes on. It looks without taking: events are the agent's
//! alone to read.

use crate::cli::agent::signals::Signals;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::top::sample::{Watcher, SECOND, STEP};
use crate::cli::top::screen;
use crate::kernel::Pins;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Instant;

/// What `top` is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where it is pinned
    #[arg(long, value_name = "DIR", default_value = Pins::ROOT)]
    pins: PathBuf,
    /// List violations: the file that the agent appends them to (enforce --events FILE)
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Print a JSON object each second, instead of a view in the terminal
    #[arg(long)]
    pub(crate) json: bool,
    /// Print one object, and end; exit status 1 if nothing is enforced
    #[arg(long, requires = "json")]
    once: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !args.json && !terminal {
        return Err(Failure::new(
            "stdin or stdout is no terminal, and `top` draws on one",
            "`--json` prints an object each second, `--json --once` one",
        ));
    }
    let signals = Signals::of_a_terminal()?;
    let watcher = Watcher::new(Pins::at(&args.pins), args.events.as_deref());
    if args.json {
        print(args.once, &signals, watcher)
    } else {
        screen::run(&signals, watcher)
    }
}

fn print(once: bool, signals: &Signals, mut watcher: Watcher) -> Result<ExitCode, Failure> {
    // A rate takes two looks.
    watcher.look()?;
    let mut next = Instant::now() + SECOND;
    loop {
        while Instant::now() < next {
            if signals.taken().is_some() {
                return Ok(ExitCode::SUCCESS);
            }
            sleep(STEP.min(next.saturating_duration_since(Instant::now())));
        }
        // Who was kept for longer does not catch up.
        next = (next + SECOND).max(Instant::now());
        let sample = watcher.look()?;
        output::event(&sample.event())?;
        if once {
            return Ok(ExitCode::from(u8::from(sample.enforced.is_none())));
        }
    }
}
