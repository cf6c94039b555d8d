//! `steps DEPTH COUNT`: judges so many calls in Rust, none of which repeats the one before. tests/instructions.rs counts
//! what it takes.

#![allow(clippy::print_stderr, clippy::print_stdout)]

use std::process::exit;
use sysfsm::machine::{Context, Count, Depth, Judge, Machine, Reaction, Verdict};
use sysfsm::syscall::{nr, Symbol};

const LOOP: [u32; 8] = [0, 1, 3, 257, 262, 9, 11, 202];

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
    let mut machine = Machine::new(depth);
    let mut context = Context::start(Symbol::Call(nr::EXECVE), depth);
    for number in LOOP.into_iter().cycle().take(100) {
        machine.insert(context, Symbol::Call(number), Count::default());
        context = context.then(Symbol::Call(number), depth);
    }
    let judge = Judge::new(&machine);
    let mut frames = judge.exec();
    let mut allowed = 0;
    for number in LOOP.into_iter().cycle().take(count) {
        allowed += usize::from(judge.call(&mut frames, number, Reaction::Stay) == Verdict::Allowed);
    }
    println!("{allowed} allowed");
    exit(i32::from(allowed != count));
}
