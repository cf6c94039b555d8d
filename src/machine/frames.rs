//! A thread's stack of frames, shared by learning and judging.

use crate::syscall::Symbol;
use std::collections::VecDeque;

/// How many frames a thread has at the most, the program's own among them. The BPF side has the
/// same (`SYSFSM_FRAMES`).
pub const MAX_FRAMES: usize = 16;

/// One frame: where its machine stands, and the last symbol, whose repetition is no step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<S> {
    pub state: S,
    pub last: Option<Symbol>,
}

/// A thread's frames, the innermost on top. `S` is what a frame knows of its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames<S> {
    pub(super) top: Frame<S>,
    below: VecDeque<Frame<S>>,
    /// Returns from handlers whose interrupted frame is not known: those under way when the thread
    /// was adopted, and those whose frame was dropped past the limit.
    unknown_returns: u32,
    dropped: u64,
}

impl<S: Copy> Frames<S> {
    /// One frame, right after an exec.
    pub(super) fn exec(state: S, first: Symbol) -> Self {
        Frames {
            top: Frame { state, last: Some(first) },
            below: VecDeque::new(),
            unknown_returns: 0,
            dropped: 0,
        }
    }

    /// A thread whose past is not known; it may be inside handlers, nested as deep as frames go.
    pub(super) fn adopted(unknown: S) -> Self {
        Frames {
            top: Frame { state: unknown, last: None },
            below: VecDeque::new(),
            unknown_returns: u32::try_from(MAX_FRAMES - 1).unwrap_or(0),
            dropped: 0,
        }
    }

    /// A handler begins, in a frame of its own.
    pub(super) fn push(&mut self, state: S) {
        if self.below.len() + 1 >= MAX_FRAMES {
            self.below.pop_front();
            self.unknown_returns += 1;
            self.dropped += 1;
        }
        self.below.push_back(self.top);
        self.top = Frame { state, last: None };
    }

    /// A handler ends: the interrupted frame goes on, `unknown` where it is not known. False if no
    /// handler is active; then nothing changed.
    pub(super) fn pop(&mut self, unknown: S) -> bool {
        if let Some(frame) = self.below.pop_back() {
            self.top = frame;
        } else if self.unknown_returns > 0 {
            self.unknown_returns -= 1;
            self.top = Frame { state: unknown, last: None };
        } else {
            return false;
        }
        true
    }

    /// Changes what every frame knows of its context.
    pub(super) fn change(&mut self, change: impl Fn(S) -> S) {
        for frame in self.below.iter_mut().chain([&mut self.top]) {
            frame.state = change(frame.state);
        }
    }

    /// How many frames were dropped past [`MAX_FRAMES`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many handlers' frames lie over the program's own.
    #[must_use]
    pub fn handlers(&self) -> usize {
        self.below.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_in_the_order_of_their_handlers() {
        let mut frames = Frames::exec(0, Symbol::Call(59));
        frames.push(1);
        frames.push(2);
        assert_eq!(frames.top.state, 2);
        assert!(frames.pop(99));
        assert_eq!((frames.top.state, frames.handlers()), (1, 1));
        assert!(frames.pop(99));
        assert_eq!((frames.top.state, frames.top.last), (0, Some(Symbol::Call(59))));
        assert!(!frames.pop(99));
        assert_eq!(frames.top.state, 0);
    }

    #[test]
    fn past_the_limit_the_oldest_is_dropped_and_its_return_is_still_allowed() {
        let mut frames = Frames::exec(0, Symbol::Call(59));
        for handler in 1..=18 {
            frames.push(handler);
        }
        assert_eq!(frames.dropped(), 3);
        for state in (3..=17).rev() {
            assert!(frames.pop(99));
            assert_eq!(frames.top.state, state);
        }
        for _ in 0..3 {
            assert!(frames.pop(99));
            assert_eq!(frames.top.state, 99);
        }
        assert!(!frames.pop(99));
    }
}
