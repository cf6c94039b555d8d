//! The attacker of the battery (tests/veto/battery). From standard input it reads one line for
//! each attack, prepares it by lawful calls, makes the forbidden call exactly once, between two
//! markers, and prints `RESULT` and what the call returned; then it waits for the next line, so
//! that the driver can look around. At the end of its input it does lawful work and ends with
//! status 0.
//!
//! It proves nothing by itself: the effect of each call is looked for from outside, by the driver.
//!
//! usage: battery               the attacker
//!        battery helper        another process, for the attacker to attack
//!        battery crowd NUMBER  processes that make a call all the time

#![allow(unsafe_code, clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use sysfsm_fixtures::battery::attacker::Attacker;
use sysfsm_fixtures::battery::stage::Stage;
use sysfsm_fixtures::battery::{call, crowd, helper, table};

/// What a program does that was not taken over.
fn work() -> io::Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    writer.write_all(b"lawful\n")?;
    drop(writer);
    assert_eq!(io::read_to_string(&mut reader)?, "lawful\n", "a pipe gives back what it was given");
    std::fs::metadata("/")?;
    Ok(())
}

fn attack(line: &str) -> Option<i64> {
    let (name, stage) = Stage::parse(line)?;
    let attack = table::all().into_iter().find(|a| a.name() == name)?;
    let mut attacker = Attacker::new(stage);
    let call = attack.prepare(&mut attacker);
    // The effect of what was prepared must not be taken for the call's.
    let result = call::between_markers(attack.abi, &call);
    attack.follow(&mut attacker, result);
    Some(result)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["helper"] => return helper::run(),
        ["crowd", number] => return crowd::run(number.parse().unwrap_or(libc::SYS_getppid)),
        _ => (),
    }
    for line in io::stdin().lock().lines() {
        let Some(result) = line.ok().as_deref().and_then(attack) else {
            eprintln!("battery: no such attack");
            return ExitCode::from(2);
        };
        println!("RESULT {result}");
    }
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("battery: {e}");
            ExitCode::from(3)
        }
    }
}
