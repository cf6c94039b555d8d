//! From a copied user stack to named frames. A helper process without privileges reads the files:
//! what they hold was written by whoever wrote the watched program.
//! Lives here: the helper, its sandbox and what it works out; what is sent to it; the agent's side.
//! May know: `events`.

pub(crate) mod files;
pub(crate) mod frames;
pub(crate) mod helper;
pub(crate) mod image;
pub(crate) mod messages;
pub(crate) mod process;
pub(crate) mod sandbox;
pub(crate) mod symbols;
pub(crate) mod unwinder;
