//! What is enforced, in figures, for who asks over HTTP: in the format of Prometheus, by threads of
//! their own. Whoever asks, and however slowly, the agent does not wait for it.

use super::address::Address;
use super::figures::Figures;
use super::http::{self, Response};
use super::listener::{Listener, Socket};
use crate::cli::io::failure::Failure;
use crate::kernel::Pins;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long figures are told again instead of being taken anew.
const FRESH: Duration = Duration::from_secs(1);

/// A place where figures can be asked for: nobody answers yet.
pub(crate) struct Place {
    listener: Listener,
    socket: Option<Socket>,
}

/// The one who answers, for as long as the process lives.
pub(crate) struct Exporter {
    /// Nobody is to find it when nobody listens any more.
    _socket: Option<Socket>,
}

/// Figures, and those who share them.
struct Source {
    pins: Pins,
    last: Mutex<Option<(Instant, Response)>>,
}

impl Place {
    pub(crate) fn take(address: &Address) -> Result<Self, Failure> {
        let (listener, socket) = Listener::bind(address).map_err(|e| {
            Failure::new(
                format!("cannot serve metrics at {address}: {e}"),
                "is another one at work there? may a file be made there, or this port be used?",
            )
        })?;
        Ok(Place { listener, socket })
    }

    /// Begins to answer, about what is pinned there.
    pub(crate) fn serve(self, pins: Pins) -> Result<Exporter, Failure> {
        let source = Source { pins, last: Mutex::default() };
        http::serve(self.listener, Arc::new(move || source.response()))
            .map_err(|e| Failure::new(format!("cannot begin a thread for metrics: {e}"), ""))?;
        Ok(Exporter { _socket: self.socket })
    }
}

impl Source {
    fn response(&self) -> Response {
        // Who comes while they are taken waits for them.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, response)) = last.as_ref().filter(|(taken, _)| taken.elapsed() < FRESH) {
            return response.clone();
        }
        let response = match Figures::take(&self.pins) {
            Ok(Some(figures)) => figures.encode(),
            Ok(None) => Response::unavailable("nothing is enforced\n"),
            Err(e) => Response::unavailable(&format!("{e}\n")),
        };
        *last = Some((Instant::now(), response.clone()));
        response
    }
}
