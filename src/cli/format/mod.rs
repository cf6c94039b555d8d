//! How counts, times and lengths of time are written and read.
//! The lowest room of the command line.
//! It knows nothing but the standard library and the calendar.

pub(crate) mod count;
#[cfg(feature = "kernel")]
pub(crate) mod time;
