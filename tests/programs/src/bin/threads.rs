//! Many threads of one process. Each works lawfully (a pipe, memory, sleep); then standard input
//! says what comes: `work` ends, `offend` has one of them make a call that no policy has while the
//! others wait, `storm K` has all of them pass a barrier and make K such calls each, at once.
//!
//! It proves that a violation ends the whole process and not one thread, and that no violation is
//! lost when many happen at the same time.
//!
//! usage: threads [COUNT]

#![allow(unsafe_code, clippy::print_stdout)]

use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, Barrier};
use std::time::Duration;

#[derive(Clone, Copy)]
enum Task {
    Work,
    Offend,
    Storm(u32),
}

fn task() -> Option<Task> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).ok()?;
    match line.trim_end() {
        "work" => Some(Task::Work),
        "offend" => Some(Task::Offend),
        other => other.strip_prefix("storm ")?.parse().ok().map(Task::Storm),
    }
}

fn work() -> io::Result<()> {
    let (mut reader, mut writer) = io::pipe()?;
    writer.write_all(b"lawful")?;
    drop(writer);
    reader.read_to_end(&mut Vec::new())?;
    std::thread::sleep(Duration::from_millis(1));
    Ok(())
}

/// A number that no kernel knows. Two of them in turn: a repetition would be the same symbol.
fn offend(turn: u32) {
    // SAFETY: the kernel has no such call.
    unsafe { libc::syscall(libc::c_long::from(4000 + turn % 2)) };
}

fn thread(index: u32, task: Task, barrier: &Barrier) -> io::Result<()> {
    work()?;
    barrier.wait();
    match task {
        Task::Offend if index == 1 => offend(0),
        Task::Storm(calls) => (0..calls).for_each(offend),
        Task::Work | Task::Offend => {}
    }
    work()
}

fn main() -> io::Result<()> {
    let count = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(4);
    let Some(task) = task() else { std::process::exit(2) };
    let barrier = Arc::new(Barrier::new(usize::try_from(count).unwrap_or(1)));
    let threads: Vec<_> = (0..count)
        .map(|index| {
            let barrier = barrier.clone();
            std::thread::spawn(move || thread(index, task, &barrier))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    println!("{count} threads done");
    Ok(())
}
