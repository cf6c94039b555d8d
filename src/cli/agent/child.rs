//! CMD: the command that `enforce` and `record` run. They end with CMD, and with its exit status.

use crate::cli::io::failure::Failure;
use crate::text::shown;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

/// A command that runs.
pub(crate) struct Child {
    name: String,
    process: std::process::Child,
}

impl Child {
    /// Starts a command, if there is one.
    pub(crate) fn spawn(command: &[String]) -> Result<Option<Self>, Failure> {
        let Some((program, arguments)) = command.split_first() else {
            return Ok(None);
        };
        let process =
            Command::new(program).args(arguments).spawn().map_err(|e| cannot_run(program, &e))?;
        Ok(Some(Child { name: program.clone(), process }))
    }

    /// The command's exit status once the command has ended: 128+N if signal N ended it.
    pub(crate) fn ended(&mut self) -> Result<Option<u8>, Failure> {
        let ended = self.process.try_wait().map_err(|e| cannot_run(&self.name, &e))?;
        Ok(ended.map(|status| {
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            u8::try_from(code).unwrap_or(u8::MAX)
        }))
    }

    /// Hands a signal on.
    pub(crate) fn forward(&self, signal: i32) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(0));
        if let Ok(signal) = nix::sys::signal::Signal::try_from(signal)
            && let Err(e) = nix::sys::signal::kill(pid, signal)
        {
            tracing::debug!("cannot forward {signal} to {pid}: {e}");
        }
    }
}

fn cannot_run(name: &str, error: &io::Error) -> Failure {
    Failure::new(
        format!("cannot run `{}`: {error}", shown(name)),
        "is it installed, executable, and spelled right?",
    )
}
