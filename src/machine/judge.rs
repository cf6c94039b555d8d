//! The step: the executable specification of docs/semantics.md.

use super::automaton::Machine;
use super::context::{Context, Depth};
use super::frames::Frames;
use crate::syscall::{nr, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

/// Why a call is a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The symbol has no edge from the thread's state.
    Transition,
    /// The call came through a foreign ABI.
    Abi,
    /// An `rt_sigreturn` with no handler active.
    Sigreturn,
}

impl Reason {
    /// Every reason.
    #[must_use]
    pub fn all() -> [Self; 3] {
        [Reason::Transition, Reason::Abi, Reason::Sigreturn]
    }

    /// As it stands in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Transition => "transition",
            Reason::Abi => "abi",
            Reason::Sigreturn => "sigreturn",
        }
    }
}

/// What becomes of the thread after a violation (rule 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// The call did not happen (`kill`, `deny`): the state does not move.
    Stay,
    /// The call went on (`log`): the state follows it.
    Follow,
    /// The call went on, and the machine is to learn it (`enforce --learn-to`): the state moves as
    /// in a machine that has the transition, so that what is reported from there is what that
    /// machine will need.
    Learn,
}

/// The judgement of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The machine has it, or the semantics allow it anywhere.
    Allowed,
    /// It is a violation, and this was the context of the thread's state.
    Violation(Reason, Context),
}

/// What a judged frame knows of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// This context, exactly. It has no edges if the machine does not know it.
    In(Context),
    /// A past that is not known, or that the machine has no context for: the empty context, from
    /// which any symbol of the alphabet is allowed. What has been seen since is kept, so that the
    /// thread is back in the machine as soon as a suffix of it is a context.
    Lost(Context),
}

impl Frames<State> {
    /// The context of the innermost frame; none where it is not known.
    #[must_use]
    pub fn context(&self) -> Option<Context> {
        match self.top.state {
            State::In(context) => Some(context),
            State::Lost(_) => None,
        }
    }
}

/// A machine, ready to judge calls.
#[derive(Debug)]
pub struct Judge {
    depth: Depth,
    edges: FxHashMap<Context, FxHashSet<Symbol>>,
    alphabet: BTreeSet<Symbol>,
}

impl Judge {
    /// Prepares a machine.
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

    /// A thread after a successful exec (rule 1).
    #[must_use]
    pub fn exec(&self) -> Frames<State> {
        let first = Symbol::Call(nr::EXECVE);
        Frames::exec(State::In(Context::start(first, self.depth)), first)
    }

    /// A thread that was already running (rule 8).
    #[must_use]
    pub fn adopt(&self) -> Frames<State> {
        Frames::adopted(self.unknown())
    }

    /// A handler begins (rule 3).
    pub fn signal(&self, frames: &mut Frames<State>, signal: u8) {
        frames.push(State::In(Context::start(Symbol::Signal(signal), self.depth)));
    }

    /// One call of the 64-bit ABI.
    pub fn call(&self, frames: &mut Frames<State>, number: u32, reaction: Reaction) -> Verdict {
        let symbol = Symbol::Call(number);
        match number {
            // Rule 4: the kernel makes it by itself, it is no symbol. Rule 5: nothing follows an
            // exit.
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
                .then(|| self.found(seen.then(symbol, self.depth), reaction)),
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

    /// A thread that another machine, of this depth, has judged so far goes on under this one.
    pub fn take_over(&self, frames: &mut Frames<State>, from: Depth) {
        frames.change(|state| self.arrival(state, from));
    }

    /// The state here of a frame that was in a state of another machine, of this depth: its
    /// context. Where it has no edges here, or where the other's shorter window did not keep enough
    /// of it, it is not known, as after an adoption; but the frame of a handler that has just begun
    /// is known to every machine.
    #[must_use]
    pub fn arrival(&self, state: State, from: Depth) -> State {
        let keep = self.depth.context_len();
        if keep == 0 {
            return State::In(Context::EMPTY);
        }
        let fitted = |context: Context| Context::of(context.symbols().iter().copied(), self.depth);
        match state {
            State::Lost(seen) => State::Lost(fitted(seen)),
            State::In(context) => {
                let symbols = context.symbols();
                let begun = matches!(symbols.first(), Some(Symbol::Signal(_)));
                let cut = symbols.len() == from.context_len() && symbols.len() < keep && !begun;
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

    /// One call through a foreign ABI (rule 6). It has no symbol, so no context can hold it.
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
                State::In(before) if reaction == Reaction::Learn && !sigreturn => {
                    State::In(before.then(symbol, self.depth))
                }
                // No machine can have that one.
                State::In(before) | State::Lost(before) if sigreturn => {
                    self.resync(before.then(symbol, self.depth))
                }
                State::In(before) | State::Lost(before) => {
                    self.found(before.then(symbol, self.depth), reaction)
                }
            };
            // A stray `rt_sigreturn` is one each time.
            frames.top.last = (!sigreturn).then_some(symbol);
        }
        verdict
    }

    /// The longest suffix that is a context of the machine (rule 7).
    fn resync(&self, seen: Context) -> State {
        if self.depth.context_len() == 0 {
            return State::In(Context::EMPTY);
        }
        seen.suffixes()
            .find(|suffix| self.edges.contains_key(suffix))
            .map_or(State::Lost(seen), State::In)
    }

    /// The state of a thread that was lost and has been seen to call this. What fills the window is
    /// the context, whether the machine has it or not: that matters to who learns.
    fn found(&self, seen: Context, reaction: Reaction) -> State {
        if reaction == Reaction::Learn && seen.symbols().len() == self.depth.context_len() {
            return State::In(seen);
        }
        self.resync(seen)
    }

    fn unknown(&self) -> State {
        self.resync(Context::EMPTY)
    }
}

/// The context that a state stands for.
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

    fn n(name: &str) -> u32 {
        crate::syscall::number(name).unwrap()
    }

    /// Runs the calls; `!` before one means that it must be a violation, `@` that it is a signal.
    fn run(judge: &Judge, mut frames: Frames<State>, reaction: Reaction, calls: &str) {
        for call in calls.split(' ') {
            if let Some(signal) = call.strip_prefix('@') {
                judge.signal(&mut frames, crate::syscall::signal_number(signal).unwrap());
                continue;
            }
            let (name, bad) = call.strip_prefix('!').map_or((call, false), |name| (name, true));
            let verdict = judge.call(&mut frames, n(name), reaction);
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
        // A handler that the machine has never seen may do nothing but return.
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
    fn who_learns_is_told_every_transition_that_the_wider_machine_needs() {
        let j = judge(2, &[("execve", "brk"), ("brk", "mmap"), ("mmap", "close")]);
        // Under log the call after `read` is no violation.
        run(&j, j.exec(), Reaction::Follow, "brk !read brk mmap");
        run(&j, j.exec(), Reaction::Learn, "brk !read !brk mmap !write !read !close");
        let j = judge(3, &[("execve", "brk"), ("execve brk", "mmap"), ("brk mmap", "execve")]);
        // `execve` alone is a context of the machine, but not the one that the thread is in.
        run(&j, j.exec(), Reaction::Follow, "brk mmap execve !read execve brk mmap");
        run(&j, j.exec(), Reaction::Learn, "brk mmap execve !read !execve !brk mmap");
        // Of an adopted thread the first calls only set the context.
        run(&j, j.adopt(), Reaction::Learn, "mmap !read !brk !mmap execve !brk mmap");
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
