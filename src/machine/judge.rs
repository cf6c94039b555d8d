//! The step: the executable specification of docs/semantics.md. Comments cite its rules.

use super::automaton::Machine;
use super::context::{Context, Depth};
use super::frames::{Delivery, Frame, Frames};
use crate::syscall::{nr, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};

/// Why a call is a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The machine has no transition from the thread's context to the symbol.
    Transition,
    /// The call came through a foreign ABI.
    Abi,
    /// An `rt_sigreturn` came with no handler active.
    Sigreturn,
}

impl Reason {
    /// Every reason.
    #[must_use]
    pub fn all() -> [Self; 3] {
        [Reason::Transition, Reason::Abi, Reason::Sigreturn]
    }

    /// The reason's name in events and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Transition => "transition",
            Reason::Abi => "abi",
            Reason::Sigreturn => "sigreturn",
        }
    }
}

/// What becomes of a thread's state after a violation (rule 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// The call did not happen (actions `kill` and `deny`): the state does not move.
    Stay,
    /// The call went on (action `log`): the state follows the call.
    Follow,
    /// The call went on, and a wider machine is to be made of the violations (complain mode,
    /// `enforce --learn-to`): the state moves as in a machine that has the transition. So the
    /// violations that follow are the transitions which the wider machine needs.
    Complain,
}

/// The judgement of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The machine has the transition, or the semantics allow the call anywhere.
    Allowed,
    /// The call is a violation: why, and the context of the thread's state before the call. The
    /// context of a lost frame is empty.
    Violation(Reason, Context),
}

/// What a judged frame knows of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The context is known. The machine may have no transition from it: then the context is
    /// unmodelled, and every call is a violation.
    In(Context),
    /// A past that is not known. The newest symbols of the context are, fewer than it has at this
    /// depth: allowed is what some context of the machine that ends in them allows.
    Lost(Context),
}

impl Frames<State> {
    /// The context of the innermost frame, or `None` if the frame is lost.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        match self.top.state {
            State::In(context) => Some(context),
            State::Lost(_) => None,
        }
    }
}

/// A machine, ready to judge calls.
///
/// A judge holds no thread. The caller keeps the [`Frames`] of each thread and passes them in.
///
/// ```
/// use sysfsm::machine::{Count, Depth, Judge, Machine, Reaction, Reason, Verdict};
/// use sysfsm::syscall::number;
///
/// let mut machine = Machine::new(Depth::PAIRS);
/// for (context, symbol) in [("execve", "brk"), ("brk", "mmap")] {
///     machine.insert(context.parse()?, symbol.parse()?, Count::default());
/// }
/// let judge = Judge::new(&machine);
/// let mut frames = judge.exec();
/// let mut call = |name| judge.call(&mut frames, number(name).unwrap(), Reaction::Stay);
///
/// assert_eq!(call("brk"), Verdict::Allowed);
/// assert_eq!(call("brk"), Verdict::Allowed); // a repetition is no step
/// assert_eq!(call("close"), Verdict::Violation(Reason::Transition, "brk".parse()?));
/// assert_eq!(call("mmap"), Verdict::Allowed); // the state has not moved
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Judge {
    depth: Depth,
    edges: FxHashMap<Context, FxHashSet<Symbol>>,
    /// What may follow a context that is known in part, or not at all.
    partial: FxHashMap<Context, FxHashSet<Symbol>>,
}

impl Judge {
    /// Prepares a machine for judging. The machine is copied.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        Judge {
            depth: machine.depth(),
            edges: machine
                .rows()
                .map(|(context, row)| (*context, row.keys().copied().collect()))
                .collect(),
            partial: machine
                .partial_contexts()
                .into_iter()
                .map(|(context, row)| (context, row.into_iter().collect()))
                .collect(),
        }
    }

    /// The frames of a thread after a successful exec (rule 1).
    #[must_use]
    pub fn exec(&self) -> Frames<State> {
        let first = Symbol::Call(nr::EXECVE);
        Frames::exec(State::In(Context::start(first, self.depth)), first)
    }

    /// The frames of a thread that was already running (rule 8).
    #[must_use]
    pub fn adopt(&self) -> Frames<State> {
        Frames::adopted(self.unknown())
    }

    /// The frames of a thread that was running before a log began (rule 8).
    #[must_use]
    pub fn observe(&self) -> Frames<State> {
        Frames::observed(self.unknown())
    }

    /// A handler of the signal with this number begins (rule 3).
    pub fn signal(&self, frames: &mut Frames<State>, signal: u8, delivery: Delivery) {
        frames.push(State::In(Context::start(Symbol::Signal(signal), self.depth)), delivery);
    }

    /// Judges one call of the 64-bit ABI, by its number, and moves the state. `reaction` says what
    /// becomes of the state if the call is a violation.
    pub fn call(&self, frames: &mut Frames<State>, number: u32, reaction: Reaction) -> Verdict {
        let symbol = Symbol::Call(number);
        match number {
            // Rule 4: the kernel itself makes the call. Rule 5: nothing follows an exit.
            _ if nr::is_kernels(number) => return Verdict::Allowed,
            nr::EXIT | nr::EXIT_GROUP => return Verdict::Allowed,
            nr::RT_SIGRETURN => {
                if frames.pop(self.unknown()) {
                    return Verdict::Allowed;
                }
                return self.violation(frames, Reason::Sigreturn, symbol, reaction);
            }
            _ => {}
        }
        // Rule 4: a repetition changes nothing.
        if frames.top.last == Some(symbol) {
            return Verdict::Allowed;
        }
        match self.next(frames.top.state, number) {
            Some(state) => {
                frames.top.state = state;
                frames.top.last = Some(symbol);
                Verdict::Allowed
            }
            None => self.violation(frames, Reason::Transition, symbol, reaction),
        }
    }

    /// The state to which a call, by its number, leads from another one, if it is allowed there.
    /// The calls of rules 3 to 5 are none of the table's.
    #[must_use]
    pub fn next(&self, state: State, number: u32) -> Option<State> {
        let symbol = Symbol::Call(number);
        let (row, seen) = match state {
            State::In(context) => (self.edges.get(&context), context),
            State::Lost(seen) => (self.partial.get(&seen), seen),
        };
        row.filter(|row| row.contains(&symbol))?;
        let context = seen.then(symbol, self.depth);
        Some(match state {
            State::Lost(_) if !self.is_whole(context) => State::Lost(context),
            _ => State::In(context),
        })
    }

    /// Moves the frames of a thread from another machine, of the depth `from`, to this one (rule 8,
    /// replacement).
    pub fn migrate(&self, frames: &mut Frames<State>, from: Depth) {
        frames.map_states(|state| self.migrated(state, from));
    }

    /// The state under this machine of a frame that was in `state` under another machine, of the
    /// depth `from` (rule 8, replacement).
    ///
    /// A known context stays known if this machine has it and the window of the other machine kept
    /// enough of it. The frame of a handler that has just begun is known to every machine. Every
    /// other frame is lost, with the symbols that are known.
    #[must_use]
    pub fn migrated(&self, state: State, from: Depth) -> State {
        let keep = self.depth.context_len();
        if keep == 0 {
            return State::In(Context::EMPTY);
        }
        let fitted = |context: Context| Context::of(context.symbols().iter().copied(), self.depth);
        let (seen, whole) = match state {
            State::Lost(seen) => (fitted(seen), self.is_whole(fitted(seen))),
            State::In(context) => {
                let symbols = context.symbols();
                let from_its_beginning = matches!(symbols.first(), Some(Symbol::Signal(_)));
                let cut = symbols.len() == from.context_len()
                    && symbols.len() < keep
                    && !from_its_beginning;
                (fitted(context), !cut)
            }
        };
        let just_begun = matches!(seen.symbols(), [Symbol::Signal(_)]);
        if whole && (just_begun || self.edges.contains_key(&seen)) {
            State::In(seen)
        } else {
            self.partly(seen)
        }
    }

    /// Judges one call through a foreign ABI (rule 6): always a violation. The call has no symbol,
    /// so no context can hold it.
    pub fn foreign(&self, frames: &mut Frames<State>, reaction: Reaction) -> Verdict {
        let verdict = Verdict::Violation(Reason::Abi, context_of(frames.top.state));
        if reaction != Reaction::Stay {
            frames.forget(self.unknown());
        }
        verdict
    }

    fn violation(
        &self,
        frames: &mut Frames<State>,
        reason: Reason,
        symbol: Symbol,
        reaction: Reaction,
    ) -> Verdict {
        let verdict = Verdict::Violation(reason, context_of(frames.top.state));
        if reaction == Reaction::Stay {
            return verdict;
        }
        // A stray `rt_sigreturn` is one each time, and no machine can have it.
        let stray = reason == Reason::Sigreturn;
        let state = self.follow(frames.top.state, symbol, reaction == Reaction::Complain && !stray);
        if stray {
            frames.forget(state);
        } else {
            frames.top = Frame { state, last: Some(symbol) };
        }
        verdict
    }

    /// The state after a violation: the context, if all of it is known and the machine has it, or
    /// is to learn it; else what of it some context of the machine ends in (rule 7).
    fn follow(&self, before: State, symbol: Symbol, learn: bool) -> State {
        let (seen, known) = match before {
            State::In(context) => (context, true),
            State::Lost(seen) => (seen, false),
        };
        let context = seen.then(symbol, self.depth);
        let whole = known || self.is_whole(context);
        if whole && (learn || self.edges.contains_key(&context)) {
            State::In(context)
        } else {
            self.partly(context)
        }
    }

    /// Whether a window has as many symbols as a context can have.
    fn is_whole(&self, window: Context) -> bool {
        window.symbols().len() == self.depth.context_len()
    }

    /// The longest end of these symbols in which some context of the machine ends, and which is
    /// shorter than a whole context (rule 8).
    fn partly(&self, seen: Context) -> State {
        if self.depth.context_len() == 0 {
            return State::In(Context::EMPTY);
        }
        seen.suffixes()
            .find(|end| !self.is_whole(*end) && self.partial.contains_key(end))
            .map_or(State::Lost(Context::EMPTY), State::Lost)
    }

    /// The state of a frame of which nothing is known; at depth 1 the only state.
    #[must_use]
    pub fn unknown(&self) -> State {
        self.partly(Context::EMPTY)
    }
}

/// The context that a violation reports for a state.
fn context_of(state: State) -> Context {
    match state {
        State::In(context) => context,
        State::Lost(_) => Context::EMPTY,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::machine::count::Count;

    fn judge(depth: u64, rows: &[(&str, &str)]) -> Judge {
        let mut machine = Machine::new(Depth::try_from(depth).unwrap());
        for (context, symbols) in rows {
            for symbol in symbols.split(' ') {
                machine.insert(context.parse().unwrap(), symbol.parse().unwrap(), Count::default());
            }
        }
        Judge::new(&machine)
    }

    fn nr(name: &str) -> u32 {
        crate::syscall::number(name).unwrap()
    }

    /// Judges the calls. `!` before a call: it must be a violation. `@`: a signal's handler begins.
    fn run(judge: &Judge, mut frames: Frames<State>, reaction: Reaction, calls: &str) {
        for call in calls.split(' ') {
            if let Some(signal) = call.strip_prefix('@') {
                judge.signal(
                    &mut frames,
                    crate::syscall::signal_number(signal).unwrap(),
                    Delivery::default(),
                );
                continue;
            }
            let (name, bad) = call.strip_prefix('!').map_or((call, false), |name| (name, true));
            let verdict = judge.call(&mut frames, nr(name), reaction);
            assert_eq!(matches!(verdict, Verdict::Violation(..)), bad, "{call} in {calls}");
        }
    }

    #[test]
    fn a_program_goes_along_its_edges_from_execve() {
        let j = judge(2, &[("execve", "brk"), ("brk", "mmap"), ("mmap", "brk close")]);
        run(&j, j.exec(), Reaction::Stay, "brk mmap brk mmap close");
        run(&j, j.exec(), Reaction::Stay, "!mmap brk !close mmap");
    }

    #[test]
    fn deeper_windows_tell_histories_apart() {
        let j = judge(
            3,
            &[
                ("execve", "brk"),
                ("execve brk", "mmap"),
                ("brk mmap", "read"),
                ("mmap read", "brk"),
                ("read brk", "close"),
            ],
        );
        run(&j, j.exec(), Reaction::Stay, "brk mmap read brk !mmap close");
    }

    #[test]
    fn an_allow_list_is_depth_one() {
        let j = judge(1, &[("", "brk mmap")]);
        run(&j, j.exec(), Reaction::Stay, "mmap brk mmap !read brk");
        run(&j, j.exec(), Reaction::Follow, "mmap !read read brk !read");
    }

    #[test]
    fn repetition_restart_and_exit_are_always_allowed() {
        let j = judge(2, &[("execve", "brk")]);
        run(
            &j,
            j.exec(),
            Reaction::Stay,
            "execve brk brk restart_syscall uretprobe brk uprobe restart_syscall exit_group exit",
        );
    }

    #[test]
    fn a_handler_runs_in_a_frame_of_its_own_and_returns_to_the_interrupted_one() {
        let j = judge(
            2,
            &[("execve", "brk"), ("brk", "mmap"), ("@SIGUSR1", "write"), ("@SIGUSR2", "read")],
        );
        run(
            &j,
            j.exec(),
            Reaction::Stay,
            "brk @SIGUSR1 write @SIGUSR2 !write read rt_sigreturn rt_sigreturn mmap",
        );
        run(&j, j.exec(), Reaction::Stay, "brk !rt_sigreturn mmap");
        // A handler without a context in the machine may do nothing but return.
        run(&j, j.exec(), Reaction::Stay, "brk @SIGHUP !write rt_sigreturn brk mmap");
    }

    #[test]
    fn an_interrupted_call_may_be_repeated_after_its_handler() {
        let j = judge(2, &[("execve", "read"), ("read", "close"), ("@SIGUSR1", "write")]);
        run(&j, j.exec(), Reaction::Stay, "read @SIGUSR1 write rt_sigreturn read close");
    }

    #[test]
    fn under_log_the_state_follows_to_the_longest_suffix_that_is_a_context() {
        let j = judge(2, &[("execve", "brk"), ("brk", "mmap"), ("mmap", "close")]);
        run(&j, j.exec(), Reaction::Follow, "!mmap close !read read brk mmap close");
        let j = judge(
            3,
            &[
                ("execve", "brk"),
                ("execve brk", "mmap"),
                ("brk mmap", "close"),
                ("mmap close", "brk"),
            ],
        );
        // After `read` nothing is known; two symbols later the thread is back in the machine.
        run(&j, j.exec(), Reaction::Follow, "brk !read brk mmap !brk brk mmap close !mmap");
    }

    #[test]
    fn complain_mode_reports_every_transition_that_the_wider_machine_needs() {
        let j = judge(2, &[("execve", "brk"), ("brk", "mmap"), ("mmap", "close")]);
        // Under log the call after `read` is no violation.
        run(&j, j.exec(), Reaction::Follow, "brk !read brk mmap");
        run(&j, j.exec(), Reaction::Complain, "brk !read !brk mmap !write !read !close");
        let j = judge(3, &[("execve", "brk"), ("execve brk", "mmap"), ("brk mmap", "execve")]);
        // `execve` alone is a context of the machine, but not the one that the thread is in.
        run(&j, j.exec(), Reaction::Follow, "brk mmap execve !read execve brk mmap");
        run(&j, j.exec(), Reaction::Complain, "brk mmap execve !read !execve !brk mmap");
        // Of an adopted thread the first calls only set the context.
        run(&j, j.adopt(), Reaction::Complain, "mmap !read !brk !mmap execve !brk mmap");
    }

    #[test]
    fn an_adopted_thread_starts_anywhere_in_the_alphabet() {
        let j = judge(2, &[("execve", "brk"), ("brk", "mmap"), ("mmap", "close brk")]);
        run(&j, j.adopt(), Reaction::Stay, "mmap close !mmap");
        run(&j, j.adopt(), Reaction::Stay, "!read !execve rt_sigreturn mmap brk !close");
    }

    #[test]
    fn a_foreign_call_is_a_violation_and_moves_only_under_log() {
        let j = judge(2, &[("execve", "brk"), ("brk", "mmap"), ("mmap", "close")]);
        let mut frames = j.exec();
        let before = frames.clone();
        assert_eq!(
            j.foreign(&mut frames, Reaction::Stay),
            Verdict::Violation(Reason::Abi, "execve".parse().unwrap())
        );
        assert_eq!(frames, before);
        j.foreign(&mut frames, Reaction::Follow);
        run(&j, frames, Reaction::Stay, "mmap close");
    }
}
