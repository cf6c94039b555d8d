//! Metrics of what is enforced, over HTTP, in the format of Prometheus.
//! They are served by threads of their own: the agent waits for nobody who asks.
//! This room may know `io` and `policies`, and what is pinned.

pub(crate) mod address;
pub(crate) mod exporter;
pub(crate) mod figures;
pub(crate) mod http;
pub(crate) mod listener;
