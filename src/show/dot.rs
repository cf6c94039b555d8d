//! The state graph for Graphviz.

use super::escape::quoted;
use super::graph::{Graph, Role};
use crate::machine::Count;
use crate::policy::Policy;
use std::fmt::Write as _;

/// The policy's state graph in Graphviz's language: a node for each state, an edge for each
/// transition, the thicker the more calls. A handler's beginning is a diamond, and its edges are
/// dashed. The same policy gives the same bytes.
#[must_use]
pub fn dot(policy: &Policy) -> String {
    let graph = Graph::new(&policy.machine);
    let name = quoted(&policy.binary.to_string());
    let mut text = format!(
        "digraph {name} {{\n  label={name};\n  labelloc=t;\n  fontname=\"sans-serif\";\n  \
         node [shape=box, style=\"rounded,filled\", fontname=\"monospace\", fontsize=11];\n  \
         edge [color=\"#00000099\", fontname=\"monospace\", fontsize=9];\n"
    );
    for node in &graph.nodes {
        let shape = match node.role {
            Role::Passage => "",
            Role::Start => ", shape=cds, style=filled",
            Role::Handler => ", shape=diamond, style=\"filled,dashed\"",
            Role::End => ", peripheries=2",
        };
        let _ =
            writeln!(text, "  {} [fillcolor=\"{}\"{shape}];", quoted(&node.name), node.kind.pale());
    }
    let pairs = policy.machine.depth().context_len() <= 1;
    for edge in &graph.edges {
        let handler = graph.nodes.get(edge.from).is_some_and(|node| node.role == Role::Handler);
        // At depth 2 the symbol is the node that it leads to.
        let label = if pairs {
            String::new()
        } else {
            format!(", label={}", quoted(&edge.symbol.to_string()))
        };
        let tooltip = if edge.count == Count::default() {
            String::new()
        } else {
            format!(", tooltip={}", quoted(&graph.sentence(edge)))
        };
        let _ = writeln!(
            text,
            "  {} -> {} [penwidth={:.1}{label}{tooltip}{}];",
            quoted(graph.name(edge.from)),
            quoted(graph.name(edge.to)),
            1.0 + 5.0 * graph.scale.at(edge.count.calls),
            if handler { ", style=dashed" } else { "" },
        );
    }
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::test_policy::{named, policy, SIGNALS};

    #[test]
    fn the_graph_is_these_bytes() {
        let text = dot(&policy(SIGNALS));
        let body: Vec<&str> = text.lines().filter(|l| l.starts_with("  \"")).collect();
        assert_eq!(
            body,
            [
                r##"  "execve" [fillcolor="#f6cdd2", shape=cds, style=filled];"##,
                r##"  "exit_group" [fillcolor="#f6cdd2", peripheries=2];"##,
                r##"  "brk" [fillcolor="#c9e8d5"];"##,
                r##"  "@SIGUSR1" [fillcolor="#fbdcbd", shape=diamond, style="filled,dashed"];"##,
                r##"  "rt_sigreturn" [fillcolor="#fbdcbd", peripheries=2];"##,
                r##"  "write" [fillcolor="#ece5b5"];"##,
                r#"  "execve" -> "brk" [penwidth=1.8, tooltip="execve → brk: 2 calls in 2 runs"];"#,
                r#"  "brk" -> "write" [penwidth=6.0, tooltip="brk → write: 1,000 calls in 2 runs"];"#,
                r#"  "@SIGUSR1" -> "write" [penwidth=2.0, tooltip="@SIGUSR1 → write: 3 calls in 1 run", style=dashed];"#,
                r#"  "write" -> "exit_group" [penwidth=1.8, tooltip="write → exit_group: 2 calls in 2 runs"];"#,
                r#"  "write" -> "rt_sigreturn" [penwidth=2.0, tooltip="write → rt_sigreturn: 3 calls in 1 run"];"#,
            ]
        );
        assert_eq!(text, dot(&policy(SIGNALS)));
    }

    #[test]
    fn beyond_pairs_an_edge_says_its_symbol() {
        let deep =
            r#"{"sysfsm": 1, "binary": "a", "depth": 3, "transitions": {"execve": ["brk"]}}"#;
        let text = dot(&policy(deep));
        assert!(
            text.contains(r#""execve" -> "execve brk" [penwidth=1.0, label="brk"];"#),
            "{text}"
        );
    }

    #[test]
    fn a_binary_cannot_end_its_string() {
        let text = dot(&named("a\"]; evil [label=\"\\"));
        assert!(text.starts_with("digraph \"a\\\"]; evil [label=\\\"\\\\\\\\\" {\n"), "{text}");
    }
}
