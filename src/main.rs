//! The command-line tool: parse, run, map the error to an exit status.
fn main() {}
