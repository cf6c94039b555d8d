//! Learning: events → one machine for each binary. Comments cite the rules of docs/semantics.md.

use super::automaton::Machine;
use super::context::{Context, Depth};
use super::count::Count;
use super::frames::{Delivery, Frames};
use super::threads::ByThread;
use crate::event::{Event, EventKind, Tid};
use crate::syscall::{nr, Symbol};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What was learned of one binary.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The binary's path, as the log's exec has it.
    pub binary: Arc<str>,
    /// The transitions that the binary's threads made.
    pub machine: Machine,
    /// The number of executions of the binary. All threads that were running when a log began count
    /// as one execution.
    pub runs: u64,
}

/// Learns machines from events. Memory grows with the machines and with the threads that live.
///
/// ```
/// use sysfsm::machine::{Depth, Learner};
/// use sysfsm::trace::Reader;
///
/// let log = "execve(\"/bin/true\", [\"true\"], 0x7ffd /* 9 vars */) = 0\n\
///            brk(NULL) = 0x5581\n\
///            exit_group(0) = ?\n";
/// let mut learner = Learner::new(Depth::PAIRS);
/// Reader::new().read(0, log.as_bytes(), &mut |event| learner.event(&event))?;
///
/// let learned = learner.finish();
/// assert_eq!((&*learned[0].binary, learned[0].runs), ("/bin/true", 1));
/// let machine = &learned[0].machine;
/// let pairs: Vec<String> = machine
///     .rows()
///     .flat_map(|(context, row)| row.keys().map(move |symbol| format!("{context} → {symbol}")))
///     .collect();
/// assert_eq!(pairs, ["brk → exit_group", "execve → brk"]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Learner {
    depth: Depth,
    builders: Vec<Builder>,
    by_path: FxHashMap<Arc<str>, usize>,
    runs: Vec<Run>,
    free_runs: Vec<usize>,
    threads: ByThread<Thread>,
    /// The binary of the threads that were running when the log began, if the user has named one.
    assumed: Option<Arc<str>>,
    assumed_run: Option<usize>,
    unknown_threads: u64,
    stray_returns: u64,
    dropped_frames: u64,
}

/// A thread of a log.
#[derive(Debug, Clone)]
struct Thread {
    /// The run that the thread belongs to. `None`: the thread's binary is not known.
    run: Option<usize>,
    /// A frame's state is a node of the run's builder. `None`: the frame's past is not known.
    frames: Frames<Option<Node>>,
    /// The thread's past is unknown, and the thread has made no call, or only an exec that has not
    /// succeeded so far. strace itself starts a program by such an exec, which belongs to no binary
    /// (rule 8).
    fresh: bool,
}

/// The index of a context in [`Builder::contexts`].
type Node = u32;

/// A machine under construction. Contexts are numbered, so that a step is one look-up.
#[derive(Debug)]
struct Builder {
    binary: Arc<str>,
    depth: Depth,
    runs: u64,
    contexts: Vec<Context>,
    nodes: FxHashMap<Context, Node>,
    /// Indices in `edges`.
    edge_of: FxHashMap<(Node, Symbol), usize>,
    edges: Vec<Edge>,
    /// By node: the edge that was taken last. Mostly the same edge is taken next.
    last: Vec<usize>,
}

#[derive(Debug)]
struct Edge {
    from: Node,
    symbol: Symbol,
    to: Node,
    count: Count,
}

/// An execution that still has threads.
#[derive(Debug)]
struct Run {
    builder: usize,
    threads: usize,
    /// The edges that the execution has taken, one bit each.
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

    /// Counts threads that were running when a log began as an execution of this binary.
    #[must_use]
    pub fn assuming(mut self, binary: &str) -> Self {
        self.assumed = Some(binary.into());
        self
    }

    /// The number of threads that were running when the log began and belong to no known binary.
    #[must_use]
    pub fn unknown_threads(&self) -> u64 {
        self.unknown_threads
    }

    /// The number of `rt_sigreturn` that came with no handler active. They show gaps in the log.
    #[must_use]
    pub fn stray_returns(&self) -> u64 {
        self.stray_returns
    }

    /// The number of frames that were dropped because handlers were nested past the limit
    /// ([`MAX_HANDLERS`](crate::machine::MAX_HANDLERS)).
    #[must_use]
    pub fn dropped_frames(&self) -> u64 {
        self.dropped_frames
    }

    /// Learns from one event. The events of one thread must come in their order.
    pub fn event(&mut self, event: &Event) {
        match &event.kind {
            &EventKind::Call(number) => self.call(event.tid, number),
            EventKind::Foreign(..) | EventKind::Unknown(_) => {
                let thread = self.known_thread(event.tid);
                thread.frames.forget(None);
            }
            EventKind::Exec(path) => self.exec(event.tid, path),
            &EventKind::Spawn { child, .. } => {
                let creator = self.known_thread(event.tid);
                let thread = Thread { frames: creator.frames.child(), ..creator.clone() };
                if let Some(run) = thread.run.and_then(|r| self.runs.get_mut(r)) {
                    run.threads += 1;
                }
                self.end(child);
                self.threads.insert(child, thread);
            }
            &EventKind::Signal(signal) => self.signal(event.tid, signal),
            EventKind::SetupFailed => self.known_thread(event.tid).frames.setup_failed(),
            &EventKind::Renamed(to) => {
                if let Some(thread) = self.threads.remove(event.tid) {
                    self.end(to);
                    self.threads.insert(to, thread);
                }
            }
            EventKind::End => self.end(event.tid),
        }
    }

    /// The machines, in the order in which their binaries were first seen.
    #[must_use]
    pub fn finish(self) -> Vec<Learned> {
        self.builders.into_iter().map(Builder::finish).collect()
    }

    fn call(&mut self, tid: Tid, number: u32) {
        if nr::is_kernels(number) {
            return;
        }
        let symbol = Symbol::Call(number);
        // The quick way, which nearly every call goes: the thread is known.
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
            thread.frames.forget(None);
        }
    }

    fn signal(&mut self, tid: Tid, signal: u8) {
        let depth = self.depth;
        self.known_thread(tid);
        let Some(thread) = self.threads.get_mut(tid) else { return };
        // A thread without a binary teaches nothing, and its returns end no frames.
        let Some(run) = thread.run else { return };
        let builder = self.runs.get(run).and_then(|r| self.builders.get_mut(r.builder));
        let node = builder.map(|b| b.node(Context::start(Symbol::Signal(signal), depth)));
        let before = thread.frames.dropped();
        thread.frames.push(node, Delivery::default());
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

    /// The thread of this id. A thread that was not seen before is of unknown past.
    fn thread(&mut self, tid: Tid) -> &mut Thread {
        self.threads.or_insert_with(tid, || Thread {
            run: None,
            frames: Frames::observed(None),
            fresh: true,
        })
    }

    /// The thread of this id, which is not about to exec. A fresh thread belongs to the binary that
    /// the user has named from now on.
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

    /// Begins an execution of `path` with one thread, and returns its index.
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
            edge_of: FxHashMap::default(),
            edges: Vec::new(),
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

    /// Counts a transition of a run, and returns the node in which the transition ends.
    fn take(&mut self, from: Node, symbol: Symbol, run: &mut Run) -> Node {
        let last = self.last.get(from as usize).copied().unwrap_or(usize::MAX);
        let is_last = self.edges.get(last).is_some_and(|edge| edge.symbol == symbol);
        let index = if is_last { last } else { self.find(from, symbol) };
        let Some(edge) = self.edges.get_mut(index) else { return from };
        edge.count.calls += 1;
        if run.takes_first(index) {
            edge.count.runs += 1;
        }
        edge.to
    }

    /// The index of an edge. An edge that was never taken is made.
    fn find(&mut self, from: Node, symbol: Symbol) -> usize {
        let index = if let Some(&index) = self.edge_of.get(&(from, symbol)) {
            index
        } else {
            let to = self.node(self.context(from).then(symbol, self.depth));
            self.edges.push(Edge { from, symbol, to, count: Count::default() });
            self.edge_of.insert((from, symbol), self.edges.len() - 1);
            self.edges.len() - 1
        };
        if let Some(last) = self.last.get_mut(from as usize) {
            *last = index;
        }
        index
    }

    fn finish(self) -> Learned {
        let mut machine = Machine::new(self.depth);
        for edge in &self.edges {
            machine.insert(self.context(edge.from), edge.symbol, edge.count);
        }
        Learned { binary: self.binary, machine, runs: self.runs }
    }
}

impl Run {
    /// Marks an edge as taken by this run. Returns whether the run takes it for the first time.
    fn takes_first(&mut self, edge: usize) -> bool {
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
