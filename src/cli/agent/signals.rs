//! The signals that end a subcommand, or have it read its policies again.

use crate::cli::io::failure::Failure;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// The signals that came. SIGCHLD only ends a wait.
pub(crate) struct Signals {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    /// Signals of a process that ends by itself.
    pub(crate) fn register() -> Result<Self, Failure> {
        // At SIGHUP the terminal has gone, and the totals are still written.
        Signals::with_hangup(Some(|signals| &signals.terminate))
    }

    /// Signals of a process that draws on a terminal: SIGHUP, which says that the terminal has gone,
    /// ends the process at once.
    pub(crate) fn of_a_terminal() -> Result<Self, Failure> {
        Signals::with_hangup(None)
    }

    /// Signals of an agent: SIGHUP asks for a reload.
    pub(crate) fn with_reload() -> Result<Self, Failure> {
        Signals::with_hangup(Some(|signals| &signals.reload))
    }

    fn with_hangup(hangup: Option<fn(&Self) -> &Arc<AtomicBool>>) -> Result<Self, Failure> {
        let signals = Signals {
            interrupt: Arc::default(),
            terminate: Arc::default(),
            reload: Arc::default(),
        };
        let hangup = hangup.map(|hangup| (SIGHUP, hangup(&signals)));
        let others = [
            (SIGINT, &signals.interrupt),
            (SIGTERM, &signals.terminate),
            (SIGQUIT, &signals.terminate),
            (SIGCHLD, &Arc::default()),
        ];
        for (signal, flag) in others.into_iter().chain(hangup) {
            signal_hook::flag::register(signal, flag.clone())
                .map_err(|e| Failure::new(format!("cannot handle signal {signal}: {e}"), ""))?;
        }
        Ok(signals)
    }

    /// Whether a reload was asked for since the last call.
    pub(crate) fn reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    /// The signal that came since the last call, and asks for the end.
    pub(crate) fn taken(&self) -> Option<i32> {
        if self.interrupt.swap(false, Ordering::Relaxed) {
            return Some(SIGINT);
        }
        self.terminate.swap(false, Ordering::Relaxed).then_some(SIGTERM)
    }
}
