//! What goes in and out of every subcommand: logs, files, events, reports, errors.
//! It may know `format` and `events`, and the layers below the command line.
//! It knows no policy's coverage, no agent and no subcommand.
//!
//! What goes where, of every subcommand, with `--json` and without:
//!
//! | stream | what |
//! |---|---|
//! | stdout | data: policies, violations, explanations, differences, decisions |
//! | stdout | the answers of `status`, `stop`, `reload`, `top` and `doctor` |
//! | stdout | the events of `enforce --json` |
//! | stderr | the report of what was done; how `enforce` begins and ends, without `--json` |
//! | stderr | warnings and errors |
//!
//! With `--json` each line of either stream is one object with the key `event`, but for policies,
//! which are data of their own format.

pub(crate) mod failure;
pub(crate) mod input;
pub(crate) mod output;
pub(crate) mod policy_args;
pub(crate) mod report;
#[cfg(feature = "kernel")]
pub(crate) mod sink;
