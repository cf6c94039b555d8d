//! The program that the kernel tests attack. It does lawful work that is the same every time, then
//! reads one line from standard input: `work` (more lawful work, exit status 0) or `attack NAME
//! [ARGUMENT]`, which an attacker would have reached through a flaw. Its policy is learned with
//! `work` alone.
//!
//! It proves that the first call of an attack is where the program ends: an attack that ran through
//! ends with the status 42 and the line `ran through`.

#![allow(unsafe_code, clippy::print_stderr)]

mod attacks;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// What a program does all day: files, a pipe, memory, sleep.
fn work() -> io::Result<()> {
    std::thread::sleep(Duration::from_millis(1));
    let mut text = String::new();
    File::open("/proc/self/comm")?.read_to_string(&mut text)?;
    let (mut reader, mut writer) = io::pipe()?;
    writer.write_all(text.as_bytes())?;
    drop(writer);
    let mut back = String::new();
    reader.read_to_string(&mut back)?;
    assert_eq!(text, back, "a pipe gives back what it was given");
    fs::metadata("/")?;
    // Large enough that malloc maps it, and unmaps it again.
    let large = vec![1_u8; 1 << 18];
    assert!(large.iter().all(|&byte| byte == 1), "memory keeps what it was given");
    Ok(())
}

/// Reads a line without allocating: nothing comes between the call and what the attacker does. It
/// is `readv`, which no library calls behind our back: only a sleep follows it lawfully.
fn command(line: &mut [u8; 256]) -> &str {
    let part = libc::iovec { iov_base: line.as_mut_ptr().cast(), iov_len: line.len() };
    // SAFETY: the one buffer is ours and as long as it is said to be.
    let got = unsafe { libc::readv(0, &raw const part, 1) };
    let line = line.get(..usize::try_from(got).unwrap_or(0)).unwrap_or_default();
    std::str::from_utf8(line).unwrap_or_default().trim_end()
}

fn main() -> ExitCode {
    if let Err(e) = work() {
        eprintln!("victim: {e}");
        return ExitCode::from(2);
    }
    let mut line = [0; 256];
    let command = command(&mut line);
    if let Some(attack) = command.strip_prefix("attack ") {
        let (name, argument) = attack.split_once(' ').unwrap_or((attack, ""));
        return if attacks::run(name, argument) {
            attacks::ran_through();
        } else {
            ExitCode::from(3)
        };
    }
    match (command, work()) {
        ("work", Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::from(2),
    }
}
