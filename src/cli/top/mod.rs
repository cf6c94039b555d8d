//! The view of `sysfsm top`: samples of what is enforced, drawn on a terminal.
//! It takes no event from the agent: events are the agent's alone to read.
//! It may know `format`, `io`, `policies`, `events` and `agent`.

pub(crate) mod follow;
pub(crate) mod sample;
pub(crate) mod screen;
pub(crate) mod view;
