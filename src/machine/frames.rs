//! A thread's stack of frames, shared by learning and judging (semantics, rules 3 and 8).

use crate::syscall::Symbol;
use std::collections::VecDeque;

/// The largest number of active handlers of one thread. The BPF side has the same limit
/// (`SYSFSM_HANDLERS`).
pub const MAX_HANDLERS: usize = 16;

/// One frame: its state, and its last symbol, whose repetition is no step (semantics, rule 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<S> {
    pub state: S,
    pub last: Option<Symbol>,
}

/// Where a thread's stack pointer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// The stack pointer.
    pub pointer: u64,
    /// The end of the alternate signal stack that it is on (`sigaltstack(2)`).
    pub alternate: Option<u64>,
}

/// How a handler begins. A log tells nothing of stacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Where the signal found the thread. None: not known.
    pub interrupted: Option<Stack>,
    /// The end of the alternate stack where the handler begins. None: it begins where the signal
    /// found the thread.
    pub begins_at: Option<u64>,
    /// The kernel sends the signal because it could not set up the frame of another handler
    /// (`SIGSEGV` with `SI_KERNEL`; `force_sigsegv`, kernel/signal.c).
    pub setup_failed: bool,
}

impl Delivery {
    /// The end of the alternate stack that the handler runs on.
    fn runs_on(&self) -> Option<u64> {
        self.begins_at.or(self.interrupted.and_then(|then| then.alternate))
    }

    /// Whether the stack has been unwound past the handler that began so: it will not return.
    fn is_over(&self, now: Stack) -> bool {
        let Some(then) = self.interrupted else { return false };
        // Where the handler's own frame is at the end of the stack that it has interrupted, pointers
        // to that stack tell nothing.
        let stack = then.alternate.filter(|_| then.alternate != self.begins_at);
        now.alternate == stack && now.pointer >= then.pointer
    }
}

/// A frame that a handler has interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interrupted<S> {
    frame: Frame<S>,
    by: Delivery,
    /// The handler has made a call after which nothing is known of its frame.
    forgotten: bool,
}

/// Returns from handlers that began before the thread was seen, which it may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OlderReturns {
    /// Any number, until the thread makes another call.
    UntilACall,
    /// At most this many.
    AtMost(u32),
}

impl OlderReturns {
    /// Takes one, if there is one.
    fn take(&mut self) -> bool {
        match self {
            OlderReturns::UntilACall => true,
            OlderReturns::AtMost(0) => false,
            OlderReturns::AtMost(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// The thread has made another call.
    fn end(&mut self) {
        if *self == OlderReturns::UntilACall {
            *self = OlderReturns::AtMost(0);
        }
    }
}

/// A thread's frames, the innermost on top. `S` is what a frame knows of its context: a [`State`]
/// in judging, a node of the graph under construction in learning.
///
/// [`State`]: crate::machine::State
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames<S> {
    pub(super) top: Frame<S>,
    below: VecDeque<Interrupted<S>>,
    older: OlderReturns,
    dropped: u64,
}

impl<S: Copy> Frames<S> {
    /// One frame, right after an exec.
    pub(super) fn exec(state: S, first: Symbol) -> Self {
        Frames {
            top: Frame { state, last: Some(first) },
            below: VecDeque::new(),
            older: OlderReturns::AtMost(0),
            dropped: 0,
        }
    }

    /// One frame of a thread whose past is not known, and that is held to what it may do.
    pub(super) fn adopted(unknown: S) -> Self {
        Frames {
            top: Frame { state: unknown, last: None },
            below: VecDeque::new(),
            older: OlderReturns::UntilACall,
            dropped: 0,
        }
    }

    /// One frame of a thread whose past a log does not show. A return shows that a handler was
    /// active.
    pub(super) fn observed(unknown: S) -> Self {
        let older = OlderReturns::AtMost(u32::try_from(MAX_HANDLERS).unwrap_or(0));
        Frames { older, ..Frames::adopted(unknown) }
    }

    /// The frames of a new thread, inside of its creator's call. What an adopted creator may return
    /// from is none of the new thread's.
    #[must_use]
    pub fn child(&self) -> Self {
        let mut child = self.clone();
        child.older.end();
        child
    }

    /// A handler begins, in a frame of its own. Handlers that are over are dropped. Past the limit
    /// the outermost handler counts as over.
    pub(super) fn push(&mut self, state: S, by: Delivery) {
        self.look_for_a_call();
        let taken_back = by.setup_failed && self.take_back(by);
        if let Some(now) = by.interrupted.filter(|_| !taken_back) {
            self.unwind(now);
        }
        // The kernel sets up the frame at the alternate stack's end, where the others' were. Others
        // may run on another one: SS_AUTODISARM allows a handler to set that.
        if by.begins_at.is_some() {
            self.drop_from(|other| other.runs_on() == by.begins_at);
        }
        if self.below.len() >= MAX_HANDLERS {
            self.below.pop_front();
            self.dropped += 1;
        }
        self.below.push_back(Interrupted { frame: self.top, by, forgotten: false });
        self.top = Frame { state, last: None };
    }

    /// The frame of the newest handler could not be set up, if that handler has made no call. A log
    /// tells nothing of stacks.
    pub(super) fn setup_failed(&mut self) {
        self.take_back(Delivery::default());
    }

    /// Takes back the newest handler: its frame could not be set up where the thread still is.
    /// False if that handler has made a call, or began elsewhere.
    fn take_back(&mut self, now: Delivery) -> bool {
        let Some(newest) = self.below.back() else { return false };
        let there = newest.by.interrupted == now.interrupted;
        if self.top.last.is_some() || newest.forgotten || !there {
            return false;
        }
        self.top = newest.frame;
        self.below.pop_back();
        true
    }

    /// Drops the frames of handlers that the stack has been unwound past, by `siglongjmp` say. The
    /// frame in use goes on: what the thread calls next is seen to follow it.
    pub fn unwind(&mut self, now: Stack) {
        self.drop_from(|by| by.is_over(now));
    }

    /// Drops the outermost frame below a handler like this, and all above it but the one in use.
    fn drop_from(&mut self, over: impl Fn(&Delivery) -> bool) {
        if let Some(first) = self.below.iter().position(|frame| over(&frame.by)) {
            self.below.truncate(first);
        }
    }

    /// A handler ends: the interrupted frame goes on. A return from a handler that began before the
    /// thread was seen leaves the frame `unknown`. False if no handler is active; then nothing
    /// changed.
    pub(super) fn pop(&mut self, unknown: S) -> bool {
        self.look_for_a_call();
        if let Some(interrupted) = self.below.pop_back() {
            self.top = interrupted.frame;
        } else if self.older.take() {
            self.top = Frame { state: unknown, last: None };
        } else {
            return false;
        }
        true
    }

    /// Ends the returns from older handlers if the frame in use has made a call. To be called before
    /// another frame is in use: the one that made the call may be dropped.
    fn look_for_a_call(&mut self) {
        if self.top.last.is_some() {
            self.older.end();
        }
    }

    /// Nothing is known of the frame any more, and the thread has called something.
    pub(super) fn forget(&mut self, unknown: S) {
        if let Some(newest) = self.below.back_mut() {
            newest.forgotten = true;
        }
        self.top = Frame { state: unknown, last: None };
        self.older.end();
    }

    /// Replaces the state of every frame.
    pub(super) fn map_states(&mut self, change: impl Fn(S) -> S) {
        for frame in self.below.iter_mut().map(|below| &mut below.frame).chain([&mut self.top]) {
            frame.state = change(frame.state);
        }
    }

    /// The number of frames that were dropped past [`MAX_HANDLERS`].
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

    fn at(pointer: u64) -> Delivery {
        let interrupted = Some(Stack { pointer, alternate: None });
        Delivery { interrupted, ..Delivery::default() }
    }

    fn frames() -> Frames<i32> {
        Frames::exec(0, Symbol::Call(59))
    }

    #[test]
    fn frames_come_back_in_the_order_of_their_handlers() {
        let mut frames = frames();
        frames.push(1, Delivery::default());
        frames.push(2, at(100));
        assert_eq!(frames.top.state, 2);
        assert!(frames.pop(99));
        assert_eq!((frames.top.state, frames.handlers()), (1, 1));
        assert!(frames.pop(99));
        assert_eq!((frames.top.state, frames.top.last), (0, Some(Symbol::Call(59))));
        assert!(!frames.pop(99));
        assert_eq!(frames.top.state, 0);
    }

    #[test]
    fn past_the_limit_the_outermost_handler_is_over_and_its_return_is_none() {
        let mut frames = frames();
        for handler in 1..=19 {
            frames.push(handler, Delivery::default());
        }
        assert_eq!(frames.dropped(), 3);
        for state in (3..=18).rev() {
            assert!(frames.pop(99));
            assert_eq!(frames.top.state, state);
        }
        assert!(!frames.pop(99));
    }

    #[test]
    fn a_handler_that_the_stack_has_been_unwound_past_is_over() {
        let mut frames = frames();
        frames.push(1, at(100));
        frames.push(2, at(80));
        frames.unwind(Stack { pointer: 79, alternate: None });
        assert_eq!(frames.handlers(), 2);
        frames.unwind(Stack { pointer: 99, alternate: None });
        assert_eq!((frames.handlers(), frames.top.state), (1, 2));
        frames.unwind(Stack { pointer: 100, alternate: None });
        assert_eq!((frames.handlers(), frames.top.state), (0, 2));
        assert!(!frames.pop(99));
    }

    #[test]
    fn a_loop_of_siglongjmp_leaves_one_frame() {
        let mut frames = frames();
        for turn in 0..1000 {
            frames.push(turn, at(5000 + u64::try_from(turn % 7).unwrap_or(0)));
            assert!(frames.handlers() <= 7);
        }
        assert_eq!(frames.dropped(), 0);
    }

    #[test]
    fn pointers_are_compared_on_one_stack() {
        let on = |pointer, alternate| Stack { pointer, alternate };
        let alternate = Some(1000);
        let switching = |pointer| Delivery { begins_at: alternate, ..at(pointer) };
        let mut frames = frames();
        frames.push(1, switching(100));
        // The handler, on an alternate stack above the other one.
        frames.unwind(on(900, alternate));
        let inside = Delivery { interrupted: Some(on(900, alternate)), ..Delivery::default() };
        frames.push(2, inside);
        frames.unwind(on(800, alternate));
        assert_eq!(frames.handlers(), 2);
        frames.unwind(on(950, alternate));
        assert_eq!(frames.handlers(), 1);
        // Back on the other stack, below where the signal came: it may be the handler still.
        frames.unwind(on(50, None));
        assert_eq!(frames.handlers(), 1);
        // A second handler is set up where the first one's frame was.
        frames.push(3, switching(50));
        assert_eq!(frames.handlers(), 1);
        frames.unwind(on(100, None));
        assert_eq!(frames.handlers(), 0);
    }

    #[test]
    fn handlers_on_stacks_of_their_own_live() {
        let mut frames = frames();
        let (mut interrupted, ends) = (Stack { pointer: 100, alternate: None }, [5000, 3000, 4000]);
        for (state, end) in (1..).zip(ends) {
            let interrupted_before = Some(interrupted);
            frames.push(
                state,
                Delivery {
                    interrupted: interrupted_before,
                    begins_at: Some(end),
                    setup_failed: false,
                },
            );
            interrupted = Stack { pointer: end - 500, alternate: Some(end) };
            frames.unwind(interrupted);
        }
        assert_eq!(frames.handlers(), 3);
        // The stack of the second one has another one's frame by now.
        let by = Delivery { interrupted: Some(interrupted), begins_at: Some(3000), ..at(0) };
        frames.push(4, by);
        assert_eq!(frames.handlers(), 2);
        assert!(frames.pop(99) && frames.pop(99));
        assert_eq!((frames.top.state, frames.handlers()), (0, 0));
    }

    #[test]
    fn a_handler_whose_frame_cannot_be_set_up_never_began() {
        let mut frames = frames();
        frames.push(1, at(16));
        frames.push(2, Delivery { setup_failed: true, begins_at: Some(900), ..at(16) });
        assert_eq!((frames.top.state, frames.handlers()), (2, 1));
        assert!(frames.pop(99));
        assert_eq!(frames.top.state, 0);
        // A handler that has made a call of a foreign ABI has begun.
        frames.push(1, at(16));
        frames.forget(99);
        frames.push(2, Delivery { setup_failed: true, ..at(16) });
        assert!(frames.pop(99));
        assert_eq!((frames.top.state, frames.handlers()), (99, 0));
        frames = self::frames();
        // A fault of the handler's own is at another place.
        frames.push(1, at(100));
        frames.push(2, Delivery { setup_failed: true, ..at(60) });
        assert_eq!(frames.handlers(), 2);
    }

    #[test]
    fn an_adopted_thread_returns_from_older_handlers_before_its_first_call_only() {
        let mut frames = Frames::adopted(99);
        assert!(frames.pop(99) && frames.pop(99));
        frames.push(1, at(100));
        assert!(frames.pop(99) && frames.pop(99));
        assert!(!frames.child().pop(99));
        frames.top.last = Some(Symbol::Call(0));
        assert!(!frames.pop(99));
        let mut frames = Frames::adopted(99);
        frames.forget(99);
        assert!(!frames.pop(99));
        // The frame that made the call is dropped: the outermost handler's past the limit.
        let mut frames = Frames::adopted(99);
        frames.top.last = Some(Symbol::Call(0));
        let handlers = 1..=MAX_HANDLERS + 1;
        handlers.for_each(|_| frames.push(1, Delivery::default()));
        assert!((0..MAX_HANDLERS).all(|_| frames.pop(99)));
        assert!(!frames.pop(99));
    }
}
