//! Learning: events → one machine for each binary.

use super::automaton::Machine;
use super::context::{Context, Depth};
use super::count::Count;
use super::frames::Frames;
use super::threads::ByThread;
use crate::event::{Event, EventKind, Tid};
use crate::syscall::{nr, Symbol};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What was learned of one binary.
#[derive(Debug, Clone)]
pub struct Learned {
    /// Its path, as the log's exec has it.
    pub binary: Arc<str>,
    /// Its transitions.
    pub machine: Machine,
    /// How many of its executions were seen. Threads that were running when a log began count as
    /// one.
    pub runs: u64,
}

/// Learns from events. Memory: the machines, and the live threads.
#[derive(Debug)]
pub struct Learner {
    depth: Depth,
    builders: Vec<Builder>,
    by_path: FxHashMap<Arc<str>, usize>,
    runs: Vec<Run>,
    free_runs: Vec<usize>,
    threads: ByThread<Thread>,
    /// The binary of threads that were running when the log began, where the user has named it.
    assumed: Option<Arc<str>>,
    assumed_run: Option<usize>,
    unknown_threads: u64,
    stray_returns: u64,
    dropped_frames: u64,
}

/// A thread: the run that it belongs to (none: its binary is not known), and its frames. A state is
/// a node of the run's builder; none while the frame's past is not known.
#[derive(Debug, Clone)]
struct Thread {
    run: Option<usize>,
    frames: Frames<Option<Node>>,
    /// Of unknown past, and nothing is known of it yet but maybe an exec under way: the one with
    /// which strace itself starts a program belongs to no binary.
    fresh: bool,
}

type Node = u32;

/// A machine under construction: contexts are interned, so that a step is one look-up.
#[derive(Debug)]
struct Builder {
    binary: Arc<str>,
    depth: Depth,
    runs: u64,
    contexts: Vec<Context>,
    nodes: FxHashMap<Context, Node>,
    edges: FxHashMap<(Node, Symbol), usize>,
    taken: Vec<Edge>,
    /// The last edge that was taken from each node: mostly it is the next one, too.
    last: Vec<usize>,
}

#[derive(Debug)]
struct Edge {
    from: Node,
    symbol: Symbol,
    to: Node,
    count: Count,
}

/// An execution that still has threads: which edges it has taken already, one bit each.
#[derive(Debug)]
struct Run {
    builder: usize,
    threads: usize,
    taken: Vec<u64>,
}

impl Learner {
    /// A learner for machines of this depth.
    #[must_use]
    pub fn new(depth: Depth) -> Self {
        Learner {
            depth,
            builders: Vec::new(),
            by_path: FxHashMap::default(),
            runs: Vec::new(),
            free_runs: Vec::new(),
            threads: ByThread::default(),
            assumed: None,
            assumed_run: None,
            unknown_threads: 0,
            stray_returns: 0,
            dropped_frames: 0,
        }
    }

    /// Takes threads that were running when a log began as executions of this binary.
    #[must_use]
    pub fn assuming(mut self, binary: &str) -> Self {
        self.assumed = Some(binary.into());
        self
    }

    /// How many threads were running before the log began, and belong to no binary that is known.
    #[must_use]
    pub fn unknown_threads(&self) -> u64 {
        self.unknown_threads
    }

    /// How many `rt_sigreturn` came with no handler active: a log with gaps.
    #[must_use]
    pub fn stray_returns(&self) -> u64 {
        self.stray_returns
    }

    /// How many frames were dropped, handlers being nested past the limit.
    #[must_use]
    pub fn dropped_frames(&self) -> u64 {
        self.dropped_frames
    }

    /// Takes in one event.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            &EventKind::Call(number) => self.call(event.tid, number),
            EventKind::Foreign(..) | EventKind::Unknown(_) => {
                let thread = self.known_thread(event.tid);
                thread.frames.top.state = None;
                thread.frames.top.last = None;
            }
            EventKind::Exec(path) => self.exec(event.tid, path),
            &EventKind::Spawn { child, .. } => {
                let thread = self.known_thread(event.tid).clone();
                if let Some(run) = thread.run.and_then(|r| self.runs.get_mut(r)) {
                    run.threads += 1;
                }
                self.end(child);
                self.threads.insert(child, thread);
            }
            &EventKind::Signal(signal) => self.signal(event.tid, signal),
            &EventKind::Renamed(to) => {
                if let Some(thread) = self.threads.remove(event.tid) {
                    self.end(to);
                    self.threads.insert(to, thread);
                }
            }
            EventKind::End => self.end(event.tid),
        }
    }

    /// What was learned, in the order in which the binaries were first seen.
    #[must_use]
    pub fn finish(self) -> Vec<Learned> {
        self.builders.into_iter().map(Builder::finish).collect()
    }

    fn call(&mut self, tid: Tid, number: u32) {
        if number == nr::RESTART_SYSCALL {
            return;
        }
        let symbol = Symbol::Call(number);
        // Nearly every call is of a thread that is known.
        let thread = match self.threads.get_mut(tid) {
            Some(thread) if !thread.fresh => thread,
            _ => {
                let thread = self.thread(tid);
                if thread.fresh && matches!(number, nr::EXECVE | nr::EXECVEAT) {
                    thread.frames.top.last = Some(symbol);
                    return;
                }
                self.known_thread(tid);
                let Some(thread) = self.threads.get_mut(tid) else { return };
                thread
            }
        };
        let top = &mut thread.frames.top;
        if top.last == Some(symbol) && number != nr::RT_SIGRETURN {
            return;
        }
        let run = thread.run.and_then(|r| self.runs.get_mut(r));
        let builder = run.as_ref().and_then(|r| self.builders.get_mut(r.builder));
        let (Some(run), Some(builder)) = (run, builder) else {
            return;
        };
        let next = match top.state {
            Some(node) => builder.take(node, symbol, run),
            None => builder.node(Context::start(symbol, self.depth)),
        };
        if number != nr::RT_SIGRETURN {
            top.state = Some(next);
            top.last = Some(symbol);
        } else if !thread.frames.pop(None) {
            self.stray_returns += 1;
            thread.frames.top.state = None;
            thread.frames.top.last = None;
        }
    }

    fn signal(&mut self, tid: Tid, signal: u8) {
        let depth = self.depth;
        self.known_thread(tid);
        let Some(thread) = self.threads.get_mut(tid) else { return };
        // Of a thread without a binary nothing is learned, nor do its returns end frames.
        let Some(run) = thread.run else { return };
        let builder = self.runs.get(run).and_then(|r| self.builders.get_mut(r.builder));
        let node = builder.map(|b| b.node(Context::start(Symbol::Signal(signal), depth)));
        let before = thread.frames.dropped();
        thread.frames.push(node);
        self.dropped_frames += thread.frames.dropped() - before;
    }

    fn exec(&mut self, tid: Tid, path: &Arc<str>) {
        self.end(tid);
        let first = Symbol::Call(nr::EXECVE);
        if path.is_empty() {
            self.threads
                .insert(tid, Thread { run: None, frames: Frames::exec(None, first), fresh: false });
            return;
        }
        let run = self.new_run(path);
        let depth = self.depth;
        let node = self
            .runs
            .get(run)
            .and_then(|r| self.builders.get_mut(r.builder))
            .map(|b| b.node(Context::start(first, depth)));
        self.threads.insert(
            tid,
            Thread { run: Some(run), frames: Frames::exec(node, first), fresh: false },
        );
    }

    fn end(&mut self, tid: Tid) {
        let Some(index) = self.threads.remove(tid).and_then(|t| t.run) else { return };
        let Some(run) = self.runs.get_mut(index) else { return };
        run.threads -= 1;
        if run.threads == 0 {
            run.taken = Vec::new();
            self.free_runs.push(index);
            if self.assumed_run == Some(index) {
                self.assumed_run = None;
            }
        }
    }

    /// The thread, taken as one of unknown past where it has not been seen before.
    fn thread(&mut self, tid: Tid) -> &mut Thread {
        self.threads.or_insert_with(tid, || Thread {
            run: None,
            frames: Frames::adopted(None),
            fresh: true,
        })
    }

    /// The same; one that is not about to exec belongs to the binary that the user has named.
    fn known_thread(&mut self, tid: Tid) -> &mut Thread {
        if self.thread(tid).fresh {
            let run = self.run_of_unknown();
            let depth = self.depth;
            let failed_exec = self.thread(tid).frames.top.last;
            let builder =
                run.and_then(|r| self.runs.get(r)).and_then(|r| self.builders.get_mut(r.builder));
            let state =
                failed_exec.and_then(|exec| builder.map(|b| b.node(Context::start(exec, depth))));
            let thread = self.thread(tid);
            thread.fresh = false;
            thread.run = run;
            thread.frames.top.state = state;
        }
        self.thread(tid)
    }

    fn run_of_unknown(&mut self) -> Option<usize> {
        let Some(path) = self.assumed.clone() else {
            self.unknown_threads += 1;
            return None;
        };
        if let Some(run) = self.assumed_run {
            if let Some(run) = self.runs.get_mut(run) {
                run.threads += 1;
            }
            return Some(run);
        }
        let run = self.new_run(&path);
        self.assumed_run = Some(run);
        Some(run)
    }

    /// A new execution of `path`, with one thread.
    fn new_run(&mut self, path: &Arc<str>) -> usize {
        let builder = if let Some(&at) = self.by_path.get(path) {
            at
        } else {
            self.builders.push(Builder::new(path.clone(), self.depth));
            self.by_path.insert(path.clone(), self.builders.len() - 1);
            self.builders.len() - 1
        };
        if let Some(b) = self.builders.get_mut(builder) {
            b.runs += 1;
        }
        let run = Run { builder, threads: 1, taken: Vec::new() };
        let free = self.free_runs.pop();
        if let Some((index, slot)) = free.and_then(|i| Some((i, self.runs.get_mut(i)?))) {
            *slot = run;
            return index;
        }
        self.runs.push(run);
        self.runs.len() - 1
    }
}

impl Builder {
    fn new(binary: Arc<str>, depth: Depth) -> Self {
        Builder {
            binary,
            depth,
            runs: 0,
            contexts: Vec::new(),
            nodes: FxHashMap::default(),
            edges: FxHashMap::default(),
            taken: Vec::new(),
            last: Vec::new(),
        }
    }

    fn node(&mut self, context: Context) -> Node {
        let next = Node::try_from(self.contexts.len()).unwrap_or(Node::MAX);
        *self.nodes.entry(context).or_insert_with(|| {
            self.contexts.push(context);
            self.last.push(usize::MAX);
            next
        })
    }

    fn context(&self, node: Node) -> Context {
        self.contexts.get(node as usize).copied().unwrap_or(Context::EMPTY)
    }

    /// Counts the transition for this run; its target.
    fn take(&mut self, from: Node, symbol: Symbol, run: &mut Run) -> Node {
        let last = self.last.get(from as usize).copied().unwrap_or(usize::MAX);
        let is_last = self.taken.get(last).is_some_and(|edge| edge.symbol == symbol);
        let index = if is_last { last } else { self.find(from, symbol) };
        let Some(edge) = self.taken.get_mut(index) else { return from };
        edge.count.calls += 1;
        if run.first(index) {
            edge.count.runs += 1;
        }
        edge.to
    }

    /// The edge's index; it is made if it was never taken.
    fn find(&mut self, from: Node, symbol: Symbol) -> usize {
        let index = if let Some(&index) = self.edges.get(&(from, symbol)) {
            index
        } else {
            let to = self.node(self.context(from).then(symbol, self.depth));
            self.taken.push(Edge { from, symbol, to, count: Count::default() });
            self.edges.insert((from, symbol), self.taken.len() - 1);
            self.taken.len() - 1
        };
        if let Some(last) = self.last.get_mut(from as usize) {
            *last = index;
        }
        index
    }

    fn finish(self) -> Learned {
        let mut machine = Machine::new(self.depth);
        for edge in &self.taken {
            machine.insert(self.context(edge.from), edge.symbol, edge.count);
        }
        Learned { binary: self.binary, machine, runs: self.runs }
    }
}

impl Run {
    /// Whether this run takes the edge for the first time; from then on it has.
    fn first(&mut self, edge: usize) -> bool {
        let (word, bit) = (edge / 64, 1_u64 << (edge % 64));
        if self.taken.len() <= word {
            self.taken.resize(word + 1, 0);
        }
        self.taken.get_mut(word).is_some_and(|w| {
            let first = *w & bit == 0;
            *w |= bit;
            first
        })
    }
}
