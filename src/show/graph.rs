//! A machine as nodes and edges, in a fixed order.

use super::kind::Kind;
use super::scale::{counted, Scale};
use crate::machine::{Context, Count, Depth, Machine};
use crate::syscall::{nr, Symbol};
use std::collections::{BTreeMap, BTreeSet};

/// What a node is besides a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A state with a way in and a way out.
    Passage,
    /// Where a program begins.
    Start,
    /// Where a signal handler begins.
    Handler,
    /// Nothing may follow.
    End,
}

/// A state of the graph.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Its context as in a policy; of the empty one, what it means.
    pub(super) name: String,
    /// The kind of its newest symbol.
    pub(super) kind: Kind,
    /// What it is besides.
    pub(super) role: Role,
    /// How many edges lead to it, and away.
    pub(super) degree: (usize, usize),
}

/// A transition: from a node to a node, by the places in [`Graph::nodes`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    /// The context's node.
    pub(super) from: usize,
    /// The node that the symbol leads to.
    pub(super) to: usize,
    /// The symbol.
    pub(super) symbol: Symbol,
    /// How often it was seen.
    pub(super) count: Count,
}

/// The state graph.
#[derive(Debug, Clone)]
pub(super) struct Graph {
    /// By kind, then by their symbols' names, the newest first.
    pub(super) nodes: Vec<Node>,
    /// By their nodes.
    pub(super) edges: Vec<Edge>,
    /// The scale of the edges' calls.
    pub(super) scale: Scale,
}

impl Graph {
    /// The graph of a machine. An allow-list, which has but one state, is drawn as a star of its
    /// symbols.
    pub(super) fn new(machine: &Machine) -> Self {
        let star = machine.depth().context_len() == 0;
        let depth = if star { Depth::PAIRS } else { machine.depth() };
        let all = || {
            machine.rows().flat_map(move |(&context, row)| {
                row.iter().map(move |(&symbol, &count)| {
                    (context, context.then(symbol, depth), symbol, count)
                })
            })
        };
        let contexts: BTreeSet<(Kind, Vec<String>, Context)> = all()
            .flat_map(|(from, to, _, _)| [from, to])
            .map(|context| (Kind::of_context(&context), newest_first(&context), context))
            .collect();
        let places: BTreeMap<Context, usize> =
            contexts.iter().enumerate().map(|(place, &(_, _, context))| (context, place)).collect();
        let place = |context: &Context| places.get(context).copied().unwrap_or_default();
        let mut edges: Vec<Edge> = all()
            .map(|(from, to, symbol, count)| Edge {
                from: place(&from),
                to: place(&to),
                symbol,
                count,
            })
            .collect();
        edges.sort_by_key(|edge| (edge.from, edge.to));
        let nodes = contexts.iter().enumerate().map(|(place, (kind, _, context))| {
            let inward = edges.iter().filter(|edge| edge.to == place).count();
            let outward = edges.iter().filter(|edge| edge.from == place).count();
            Node {
                name: if *context == Context::EMPTY {
                    "(anything)".into()
                } else {
                    context.to_string()
                },
                kind: *kind,
                role: if star { Role::Passage } else { role(context, outward) },
                degree: (inward, outward),
            }
        });
        Graph {
            nodes: nodes.collect(),
            scale: Scale::of(edges.iter().map(|e| e.count.calls)),
            edges,
        }
    }

    /// The name of a node.
    pub(super) fn name(&self, place: usize) -> &str {
        self.nodes.get(place).map_or("", |node| &node.name)
    }

    /// An edge in words.
    pub(super) fn sentence(&self, edge: &Edge) -> String {
        let (from, symbol) = (self.name(edge.from), edge.symbol);
        if edge.count == Count::default() {
            return format!("{from} → {symbol}");
        }
        let Count { calls, runs } = edge.count;
        format!("{from} → {symbol}: {} in {}", counted(calls, "call"), counted(runs, "run"))
    }

    /// The kinds that it has, each with its nodes.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (Kind, usize)> + '_ {
        Kind::ALL.into_iter().filter_map(|kind| {
            let size = self.nodes.iter().filter(|node| node.kind == kind).count();
            (size > 0).then_some((kind, size))
        })
    }
}

/// By this the contexts that end alike stand together.
fn newest_first(context: &Context) -> Vec<String> {
    context.symbols().iter().rev().map(ToString::to_string).collect()
}

fn role(context: &Context, outward: usize) -> Role {
    match context.symbols() {
        [Symbol::Signal(_)] => Role::Handler,
        [Symbol::Call(nr::EXECVE)] if outward > 0 => Role::Start,
        _ if outward == 0 => Role::End,
        _ => Role::Passage,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::show::graph::Role::{End, Handler, Passage, Start};
    use crate::show::test_policy::{policy, SIGNALS};

    fn graph(text: &str) -> Graph {
        Graph::new(&policy(text).machine)
    }

    #[test]
    fn nodes_are_contexts_and_edges_lead_to_the_next_context() {
        let graph = graph(SIGNALS);
        let names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["execve", "exit_group", "brk", "@SIGUSR1", "rt_sigreturn", "write"]);
        let roles: Vec<Role> = graph.nodes.iter().map(|n| n.role).collect();
        assert_eq!(roles, [Start, End, Passage, Handler, End, Passage]);
        let edges: Vec<String> = graph.edges.iter().map(|e| graph.sentence(e)).collect();
        assert_eq!(
            edges,
            [
                "execve → brk: 2 calls in 2 runs",
                "brk → write: 1,000 calls in 2 runs",
                "@SIGUSR1 → write: 3 calls in 1 run",
                "write → exit_group: 2 calls in 2 runs",
                "write → rt_sigreturn: 3 calls in 1 run",
            ]
        );
    }

    #[test]
    fn at_depth_three_a_node_is_a_pair() {
        let graph = graph(
            r#"{"sysfsm": 1, "binary": "a", "depth": 3,
                "transitions": {"execve": ["brk"], "execve brk": ["mmap"], "brk mmap": ["brk"]}}"#,
        );
        let names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["execve", "execve brk", "mmap brk", "brk mmap"]);
        assert_eq!(graph.edges.len(), 3);
    }

    #[test]
    fn an_allow_list_is_a_star() {
        let graph = graph(
            r#"{"sysfsm": 1, "binary": "a", "depth": 1, "transitions": {"": ["brk", "execve"]}}"#,
        );
        assert_eq!(graph.nodes.len(), 3);
        assert!(graph.edges.iter().all(|e| graph.name(e.from) == "(anything)"));
        assert!(graph.nodes.iter().all(|n| n.role == Passage), "after any of them any other");
    }

    #[test]
    fn a_policy_without_transitions_is_an_empty_graph() {
        let graph = graph(r#"{"sysfsm": 1, "binary": "a", "transitions": {}}"#);
        assert!(graph.nodes.is_empty() && graph.edges.is_empty());
    }
}
