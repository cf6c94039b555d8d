//! A thread's stack of frames, shared by learning and judging (semantics, rule 3).

use crate::syscall::Symbol;
use std::collections::VecDeque;

/// The largest number of frames of one thread, the program's own frame among them. The BPF side has
/// the same limit (`SYSFSM_FRAMES`).
pub const MAX_FRAMES: usize = 16;

/// One frame: its state, and its last symbol, whose repetition is no step (semantics, rule 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<S> {
    pub state: S,
    pub last: Option<Symbol>,
}

/// A thread's frames, the innermost on top. `S` is what a frame knows of its context: a [`State`]
/// in judging, a node of the graph under construction in learning.
///
/// [`State`]: crate::machine::State
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames<S> {
    pub(super) top: Frame<S>,
    below: VecDeque<Frame<S>>,
    /// The number of allowed returns to a frame that is not known. That frame was there before the
    /// thread was adopted, or it was dropped past the limit.
    unknown_returns: u32,
    dropped: u64,
}

impl<S: Copy> Frames<S> {
    /// The frames right after an exec: one frame.
    pub(super) fn exec(state: S, first: Symbol) -> Self {
        Frames {
            top: Frame { state, last: Some(first) },
            below: VecDeque::new(),
            unknown_returns: 0,
            dropped: 0,
        }
    }

    /// The frames of a thread whose past is not known. The thread may be inside of handlers, nested
    /// up to the limit (semantics, rule 8).
    pub(super) fn adopted(unknown: S) -> Self {
        Frames {
            top: Frame { state: unknown, last: None },
            below: VecDeque::new(),
            unknown_returns: u32::try_from(MAX_FRAMES - 1).unwrap_or(0),
            dropped: 0,
        }
    }

    /// A handler begins: a new frame. Past [`MAX_FRAMES`] the oldest frame is dropped and counted.
    pub(super) fn push(&mut self, state: S) {
        if self.below.len() + 1 >= MAX_FRAMES {
            self.below.pop_front();
            self.unknown_returns += 1;
            self.dropped += 1;
        }
        self.below.push_back(self.top);
        self.top = Frame { state, last: None };
    }

    /// A handler ends: the interrupted frame goes on, in the state `unknown` if that frame is not
    /// known. Returns false if no handler is active; then nothing has changed.
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

    /// Replaces the state of every frame.
    pub(super) fn map_states(&mut self, change: impl Fn(S) -> S) {
        for frame in self.below.iter_mut().chain([&mut self.top]) {
            frame.state = change(frame.state);
        }
    }

    /// The number of frames that were dropped past [`MAX_FRAMES`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The number of handlers' frames on top of the program's own frame.
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
