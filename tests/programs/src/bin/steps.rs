//! `steps DEPTH COUNT`: judges COUNT calls in Rust, none of which repeats the one before.
//! tests/trace/instructions.rs counts what it takes.

#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::process::exit;
use sysfsm::machine::{Depth, Reaction, Verdict};
use sysfsm_fixtures::load::{self, LOOP};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [depth, count] = words.as_slice() else {
        eprintln!("usage: steps DEPTH COUNT");
        exit(2);
    };
    let (Ok(depth), Ok(count)) = (depth.parse::<Depth>(), count.parse::<usize>()) else {
        eprintln!("usage: steps DEPTH COUNT");
        exit(2);
    };
    let judge = load::judge(depth);
    let mut frames = judge.exec();
    let mut allowed = 0;
    for number in LOOP.into_iter().cycle().take(count) {
        allowed += usize::from(judge.call(&mut frames, number, Reaction::Stay) == Verdict::Allowed);
    }
    println!("{allowed} allowed");
    exit(i32::from(allowed != count));
}
