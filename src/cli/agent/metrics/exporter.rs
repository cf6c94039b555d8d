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

/// How long one response serves all requests.
const FRESH: Duration = Duration::from_secs(1);

/// A listening socket: nobody serves it yet.
pub(crate) struct Endpoint {
    listener: Listener,
    socket: Option<Socket>,
}

/// A served socket. Its file is removed with this value.
pub(crate) struct Exporter {
    _socket: Option<Socket>,
}

/// The metrics, and the last response.
struct Source {
    pins: Pins,
    last: Mutex<Option<(Instant, Response)>>,
}

impl Endpoint {
    pub(crate) fn bind(address: &Address) -> Result<Self, Failure> {
        let (listener, socket) = Listener::bind(address).map_err(|e| {
            Failure::new(
                format!("cannot serve metrics at {address}: {e}"),
                "does another process listen there? may a file be made there, or this port be used?",
            )
        })?;
        Ok(Endpoint { listener, socket })
    }

    /// Serves the metrics of what is pinned there, from now on.
    pub(crate) fn serve(self, pins: Pins) -> Result<Exporter, Failure> {
        let source = Source { pins, last: Mutex::default() };
        http::serve(self.listener, Arc::new(move || source.response()))
            .map_err(|e| Failure::new(format!("cannot begin a thread for metrics: {e}"), ""))?;
        Ok(Exporter { _socket: self.socket })
    }
}

impl Source {
    fn response(&self) -> Response {
        // A request that comes while metrics are taken waits for them.
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
