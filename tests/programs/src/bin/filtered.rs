//! `filtered FILE CALL`: puts itself under a filter that `sysfsm export` wrote for seccompiler, and
//! makes a call, `getppid` or `socket`. The exit status is 0 if the call succeeded, 10 and the error
//! if it failed.

#![allow(clippy::print_stderr)]

use seccompiler::{apply_filter, compile_from_json, TargetArch};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::parent_id;
use std::process::exit;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [file, call] = words.as_slice() else {
        eprintln!("usage: filtered FILE CALL");
        exit(2);
    };
    let filter = std::fs::read(file)
        .ok()
        .and_then(|json| compile_from_json(json.as_slice(), TargetArch::x86_64).ok())
        .and_then(|mut filters| filters.remove("main"));
    if filter.is_none_or(|filter| apply_filter(&filter).is_err()) {
        eprintln!("filtered: `{file}` is no filter");
        exit(3);
    }
    let outcome = if call == "socket" {
        UnixDatagram::unbound().map(drop)
    } else {
        let _ = parent_id();
        Ok(())
    };
    match outcome {
        Ok(()) => exit(0),
        Err(e) => exit(10 + e.raw_os_error().unwrap_or(0)),
    }
}
