//! The step: the executable specification of docs/semantics.md. Comments cite its rules.

use super::automaton::Machine;
use super::context::{Context, Depth};
use super::frames::Frames;
use crate::syscall::{nr, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The context is known. The machine may have no transition from it: then the context is
    /// unmodelled, and every call is a violation.
    In(Context),
    /// The context is not known, and any symbol of the alphabet is allowed (rule 8). The last K-1
    /// symbols that the thread was seen to make are kept: the frame is back in the machine as soon
    /// as a suffix of them is a context of the machine.
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
    alphabet: BTreeSet<Symbol>,
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
            alphabet: machine.alphabet(),
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

    /// A handler of the signal with this number begins (rule 3).
    pub fn signal(&self, frames: &mut Frames<State>, signal: u8) {
        frames.push(State::In(Context::start(Symbol::Signal(signal), self.depth)));
    }

    /// Judges one call of the 64-bit ABI, by its number, and moves the state. `reaction` says what
    /// becomes of the state if the call is a violation.
    pub fn call(&self, frames: &mut Frames<State>, number: u32, reaction: Reaction) -> Verdict {
        let symbol = Symbol::Call(number);
        match number {
            // Rule 4: the kernel itself makes `restart_syscall`. Rule 5: nothing follows an exit.
            nr::RESTART_SYSCALL | nr::EXIT | nr::EXIT_GROUP => return Verdict::Allowed,
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
        let next = match frames.top.state {
            State::In(context) => self
                .edges
                .get(&context)
                .filter(|row| row.contains(&symbol))
                .map(|_| State::In(context.then(symbol, self.depth))),
            State::Lost(seen) => self
                .alphabet
                .contains(&symbol)
                .then(|| self.resync_for(seen.then(symbol, self.depth), reaction)),
        };
        match next {
            Some(state) => {
                frames.top.state = state;
                frames.top.last = Some(symbol);
                Verdict::Allowed
            }
            None => self.violation(frames, Reason::Transition, symbol, reaction),
        }
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
        match state {
            State::Lost(seen) => State::Lost(fitted(seen)),
            State::In(context) => {
                let symbols = context.symbols();
                let from_its_beginning = matches!(symbols.first(), Some(Symbol::Signal(_)));
                let full = symbols.len() == from.context_len();
                let cut = full && symbols.len() < keep && !from_its_beginning;
                let context = fitted(context);
                let just_begun = matches!(context.symbols(), [Symbol::Signal(_)]);
                if just_begun || (!cut && self.edges.contains_key(&context)) {
                    State::In(context)
                } else {
                    State::Lost(context)
                }
            }
        }
    }

    /// Judges one call through a foreign ABI (rule 6): always a violation. The call has no symbol,
    /// so no context can hold it.
    pub fn foreign(&self, frames: &mut Frames<State>, reaction: Reaction) -> Verdict {
        let verdict = Verdict::Violation(Reason::Abi, context_of(frames.top.state));
        if reaction != Reaction::Stay {
            frames.top.state = self.unknown();
            frames.top.last = None;
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
        if reaction != Reaction::Stay {
            let sigreturn = reason == Reason::Sigreturn;
            frames.top.state = match frames.top.state {
                State::In(before) if reaction == Reaction::Complain && !sigreturn => {
                    State::In(before.then(symbol, self.depth))
                }
                // No machine can have a transition to a stray `rt_sigreturn`.
                State::In(before) | State::Lost(before) if sigreturn => {
                    self.resync(before.then(symbol, self.depth))
                }
                State::In(before) | State::Lost(before) => {
                    self.resync_for(before.then(symbol, self.depth), reaction)
                }
            };
            // A second stray `rt_sigreturn` is a second violation.
            frames.top.last = (!sigreturn).then_some(symbol);
        }
        verdict
    }

    /// The state after these symbols: their longest suffix that is a context of the machine, or
    /// lost (rule 8, resync).
    fn resync(&self, seen: Context) -> State {
        if self.depth.context_len() == 0 {
            return State::In(Context::EMPTY);
        }
        seen.suffixes()
            .find(|suffix| self.edges.contains_key(suffix))
            .map_or(State::Lost(seen), State::In)
    }

    /// The state after these symbols under `reaction`. In complain mode a full window is the
    /// context, whether the machine has that context or not.
    fn resync_for(&self, seen: Context, reaction: Reaction) -> State {
        if reaction == Reaction::Complain && seen.symbols().len() == self.depth.context_len() {
            return State::In(seen);
        }
        self.resync(seen)
    }

    fn unknown(&self) -> State {
        self.resync(Context::EMPTY)
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
                judge.signal(&mut frames, crate::syscall::signal_number(signal).unwrap());
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
            "execve brk brk restart_syscall brk restart_syscall exit_group exit",
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
