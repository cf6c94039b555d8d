//! The terminal, while `top` has it.

use super::sample::{Watcher, SECOND, STEP};
use super::view::View;
use crate::cli::agent::signals::Signals;
use crate::cli::io::failure::Failure;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use std::io;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The terminal is as it was before when this is dropped. (Of a panic the hook that `try_init` sets
/// takes care: what it says is to be read.)
struct Borrowed(DefaultTerminal);

impl Borrowed {
    fn take() -> Result<Self, Failure> {
        ratatui::try_init().map(Borrowed).map_err(|e| {
            ratatui::restore();
            failed(&e)
        })
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(format!("cannot draw on the terminal: {error}"), "`--json` needs none")
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    End,
    Scroll(isize),
}

pub(crate) fn run(signals: &Signals, mut watcher: Watcher) -> Result<ExitCode, Failure> {
    // Errors come before the screen changes.
    let mut sample = watcher.look()?;
    let mut view = View::default();
    let mut terminal = Borrowed::take()?;
    let mut next = Instant::now() + SECOND;
    loop {
        terminal.0.draw(|frame| view.draw(frame, &sample)).map_err(|e| failed(&e))?;
        loop {
            if signals.taken().is_some() {
                return Ok(ExitCode::SUCCESS);
            }
            let wait = STEP.min(next.saturating_duration_since(Instant::now()));
            match next_event(wait).map_err(|e| failed(&e))? {
                Some(Event::Key(key)) => match wish(key) {
                    Some(Wish::End) => return Ok(ExitCode::SUCCESS),
                    Some(Wish::Scroll(by)) => view.scroll(by),
                    None => continue,
                },
                Some(Event::Resize(..)) => {}
                Some(_) => continue,
                None if Instant::now() < next => continue,
                None => {
                    next = (next + SECOND).max(Instant::now());
                    sample = watcher.look()?;
                }
            }
            break;
        }
    }
}

/// What is typed, or done to the terminal, in some time.
fn next_event(wait: Duration) -> io::Result<Option<Event>> {
    // Of several keys that came at once the others are known already.
    for wait in [Duration::ZERO, wait] {
        if !is_there(wait)? {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is gone"));
        }
        match event::poll(Duration::ZERO) {
            Ok(true) => return event::read().map(Some),
            Err(e) if e.kind() != io::ErrorKind::Interrupted => return Err(e),
            _ => {}
        }
    }
    Ok(None)
}

/// Waits until something is typed; whether the terminal is there. Of one that is gone crossterm
/// reads again and again, and never returns: it is asked only about one that is there.
fn is_there(wait: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut input = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut input, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(e) => return Err(e.into()),
    }
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    Ok(!input.iter().filter_map(PollFd::revents).any(|found| found.intersects(gone)))
}

fn wish(key: KeyEvent) -> Option<Wish> {
    const PAGE: isize = 10;
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::End,
        KeyCode::Char('q') | KeyCode::Esc => Wish::End,
        KeyCode::Up | KeyCode::Char('k') => Wish::Scroll(-1),
        KeyCode::Down | KeyCode::Char('j') => Wish::Scroll(1),
        KeyCode::PageUp => Wish::Scroll(-PAGE),
        KeyCode::PageDown => Wish::Scroll(PAGE),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_wants_to_leave_can() {
        let key = |code, modifiers| wish(KeyEvent::new(code, modifiers));
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(key(code, KeyModifiers::NONE), Some(Wish::End));
        }
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::End));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Down, KeyModifiers::NONE), Some(Wish::Scroll(1)));
    }
}
