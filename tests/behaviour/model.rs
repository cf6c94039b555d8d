//! What a watched task may do, written from docs/semantics.md alone: nothing here is the crate's
//! step. A frame keeps its context as a list, and what the machine allows is looked for in all of
//! its transitions.

use std::collections::{BTreeMap, BTreeSet};
use sysfsm_fixtures::behaviour::{area, Area, REGION};

/// A call by its number, or a signal (`SIGNAL` and its number).
pub type Symbol = u32;

/// The first of the symbols of signals.
pub const SIGNAL: Symbol = 1 << 16;

const RT_SIGRETURN: Symbol = 15;
const EXECVE: Symbol = 59;
const EXIT: Symbol = 60;
const RESTART_SYSCALL: Symbol = 219;
const EXIT_GROUP: Symbol = 231;
const EXECVEAT: Symbol = 322;

/// What a program calls after an exec, before it can write: `open`, `mmap`.
pub const BEFORE: [Symbol; 2] = [2, 9];

/// A thread's active handlers (rule 3).
const HANDLERS: usize = 16;

/// A machine: its transitions.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The depth: contexts have one symbol less.
    pub depth: usize,
    /// From which context which symbols lead on.
    pub rows: BTreeMap<Vec<Symbol>, BTreeSet<Symbol>>,
}

/// Why a call is a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The machine has no such transition.
    Transition,
    /// It comes by a foreign ABI.
    Abi,
    /// No handler is active.
    Sigreturn,
}

/// What becomes of a violation, and of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The task dies.
    Kill,
    /// It goes on.
    Log,
}

/// What is known of a frame.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    /// The newest symbols of the context, or all of it.
    known: Vec<Symbol>,
    /// All of it.
    whole: bool,
    last: Option<Symbol>,
}

/// How a handler has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    /// Where the signal has found the thread.
    pub pointer: u64,
    /// On which stack.
    pub found: Place,
    /// At the end of which alternate stack it runs; `Main`: it has not begun at one's end.
    pub begins: Place,
}

/// A stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The thread's own, or any other memory.
    Main,
    /// An alternate one: whose region it is in, and whether it is the first one there.
    Alternate(u64, bool),
}

impl Place {
    /// The stack that a pointer is on.
    pub fn of(pointer: u64) -> Self {
        let region = pointer & !(REGION - 1);
        match area(pointer) {
            Area::Main => Place::Main,
            Area::First => Place::Alternate(region, true),
            Area::Second => Place::Alternate(region, false),
        }
    }
}

impl Delivery {
    /// The stack that the handler runs on.
    pub fn runs(&self) -> Place {
        if self.begins == Place::Main {
            self.found
        } else {
            self.begins
        }
    }
}

/// A watched thread: its frames, each with what has interrupted it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    top: Frame,
    below: Vec<(Frame, Delivery)>,
    /// It was running before it was watched, and has made no call but returns since (rule 8).
    adopted: bool,
}

impl Table {
    /// The symbols of a context.
    fn width(&self) -> usize {
        self.depth - 1
    }

    fn newest(&self, symbols: &[Symbol]) -> Vec<Symbol> {
        symbols[symbols.len().saturating_sub(self.width())..].to_vec()
    }

    /// The contexts that a symbol may follow.
    pub fn contexts_to(&self, symbol: Symbol) -> Vec<&[Symbol]> {
        let leads = self.rows.iter().filter(|(_, row)| row.contains(&symbol));
        leads.map(|(context, _)| context.as_slice()).collect()
    }

    /// Whether a symbol may follow what is known of a frame.
    fn allows(&self, frame: &Frame, symbol: Symbol) -> bool {
        if frame.whole {
            return self.rows.get(&frame.known).is_some_and(|row| row.contains(&symbol));
        }
        let follows = self
            .rows
            .iter()
            .any(|(context, row)| context.ends_with(&frame.known) && row.contains(&symbol));
        // Rule 8: with no symbol known, the alphabet.
        let begins = frame.known.is_empty()
            && !matches!(symbol, EXECVE | EXECVEAT)
            && self.rows.keys().any(|context| context.contains(&symbol));
        follows || begins
    }

    /// The frame after a violation that is only logged (rule 7).
    fn followed(&self, frame: &Frame, symbol: Symbol) -> Frame {
        let mut known = frame.known.clone();
        known.push(symbol);
        let known = self.newest(&known);
        let last = Some(symbol);
        if self.width() == 0 {
            return Frame { known, whole: true, last };
        }
        let whole = frame.whole || known.len() == self.width();
        if whole && self.rows.contains_key(&known) {
            return Frame { known, whole: true, last };
        }
        let end = (0..known.len())
            .map(|from| &known[from..])
            .find(|end| end.len() < self.width() && self.rows.keys().any(|c| c.ends_with(end)));
        Frame { known: end.unwrap_or_default().to_vec(), whole: false, last }
    }

    /// Adds what every program calls first.
    pub fn learn_the_beginning(&mut self) {
        let mut task = self.exec();
        for symbol in BEFORE {
            task.call(self, symbol, false, (0, Place::Main), Mode::Log, true);
        }
    }

    /// A thread after an exec (rule 1).
    pub fn exec(&self) -> Task {
        let top = Frame { known: self.newest(&[EXECVE]), whole: true, last: Some(EXECVE) };
        Task { top, below: Vec::new(), adopted: false }
    }

    /// What is known of a frame of unknown past.
    fn unknown(&self) -> Frame {
        Frame { known: Vec::new(), whole: self.width() == 0, last: None }
    }

    /// A thread that was running before it was watched (rule 8).
    pub fn adopted(&self) -> Task {
        Task { top: self.unknown(), below: Vec::new(), adopted: true }
    }
}

impl Task {
    /// A new thread has no returns that its creator has from before it was watched.
    pub fn born(&mut self) {
        self.adopted = false;
    }

    /// Handlers that the stack was unwound past are over, with all that began in them (rule 3).
    fn unwind(&mut self, pointer: u64, place: Place) {
        let over = |by: &Delivery| by.found == place && pointer >= by.pointer;
        if let Some(first) = self.below.iter().position(|(_, by)| over(by)) {
            self.below.truncate(first);
        }
    }

    /// A handler begins at the end of an alternate stack, over the handlers there.
    pub fn overwritten(&mut self, stack: Place) {
        let there = |(_, by): &(Frame, Delivery)| by.runs() == stack;
        if let Some(first) = self.below.iter().position(there) {
            self.below.truncate(first);
        }
    }

    /// The alternate stacks that handlers run on.
    pub fn alternates(&self) -> BTreeSet<Place> {
        self.below.iter().map(|(_, by)| by.runs()).filter(|at| *at != Place::Main).collect()
    }

    /// The newest handler has made no call, as far as is known, and the thread is where its signal
    /// found it: it counts as one that has never begun. False: it is not so.
    pub fn take_back(&mut self, pointer: u64) -> bool {
        let there = |(_, by): &(Frame, Delivery)| by.pointer == pointer;
        if self.top.last.is_some() || !self.below.last().is_some_and(there) {
            return false;
        }
        if let Some((frame, _)) = self.below.pop() {
            self.top = frame;
        }
        true
    }

    /// Past the limit the outermost handler counts as over.
    pub fn make_room(&mut self) {
        if self.below.len() == HANDLERS {
            self.below.remove(0);
        }
    }

    /// A handler begins.
    pub fn signal(&mut self, table: &Table, signal: u32, by: Delivery) {
        self.unwind(by.pointer, by.found);
        if by.begins != Place::Main {
            self.overwritten(by.begins);
        }
        self.make_room();
        let known = table.newest(&[SIGNAL + signal]);
        let new = Frame { known, whole: true, last: None };
        self.below.push((std::mem::replace(&mut self.top, new), by));
    }

    /// A call of the 64-bit table, or of another one (`foreign`); why it is a violation.
    pub fn call(
        &mut self,
        table: &mut Table,
        symbol: Symbol,
        foreign: bool,
        (pointer, place): (u64, Place),
        mode: Mode,
        learn: bool,
    ) -> Option<Why> {
        self.unwind(pointer, place);
        // A return is none of the calls that end what an adopted thread may do.
        let adopted = self.adopted;
        self.adopted &=
            !foreign && matches!(symbol, RESTART_SYSCALL | EXIT | EXIT_GROUP | RT_SIGRETURN);
        if foreign {
            if mode == Mode::Log {
                self.top = table.unknown();
            }
            return Some(Why::Abi);
        }
        if matches!(symbol, RESTART_SYSCALL | EXIT | EXIT_GROUP) {
            return None;
        }
        if symbol == RT_SIGRETURN {
            if let Some((frame, _)) = self.below.pop() {
                self.top = frame;
                return None;
            }
            if adopted {
                self.top = table.unknown();
                return None;
            }
            if mode == Mode::Log {
                self.top = table.followed(&self.top, symbol);
                self.top.last = None;
            }
            return Some(Why::Sigreturn);
        }
        if self.top.last == Some(symbol) {
            return None;
        }
        if learn && self.top.whole {
            table.rows.entry(self.top.known.clone()).or_default().insert(symbol);
        }
        if table.allows(&self.top, symbol) {
            self.top.known.push(symbol);
            self.top.known = table.newest(&self.top.known);
            self.top.whole |= self.top.known.len() == table.width();
            self.top.last = Some(symbol);
            return None;
        }
        if mode == Mode::Log {
            self.top = table.followed(&self.top, symbol);
        }
        Some(Why::Transition)
    }
}
