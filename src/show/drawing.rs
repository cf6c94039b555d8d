//! The graph as SVG elements, for the page and for the picture alike.

use super::escape::markup;
use super::graph::{Edge, Graph, Node, Role};
use super::ring::{Point, Ring};
use super::scale::{counted, float, round};
use std::fmt::Write as _;

/// The width of a letter of the labels: monospaced, 12 pixels high (`drawing.css`), and a little
/// more.
const LETTER: f64 = 7.3;
/// The longest label in letters; the whole name is in the title and in the lists.
const LABEL: usize = 30;
/// From the ring to the label.
const INDENT: f64 = 13.0;
/// Around all: half the height of a label, and a little air.
const MARGIN: f64 = 14.0;

/// A drawn graph.
pub(super) struct Drawing {
    /// The elements.
    pub(super) elements: String,
    /// Where they lie.
    pub(super) frame: Frame,
}

/// A rectangle around what is drawn; the ring's middle is at 0, 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Its left edge.
    pub(super) left: f64,
    /// Its upper edge.
    pub(super) top: f64,
    /// Its width.
    pub(super) width: f64,
    /// Its height.
    pub(super) height: f64,
}

impl Frame {
    /// Around the ring and the labels.
    fn around(graph: &Graph, ring: &Ring) -> Self {
        let (mut least, mut most) = ([-ring.radius; 2], [ring.radius; 2]);
        for (node, angle) in graph.nodes.iter().zip(&ring.angles) {
            let length = LETTER * float(label(&node.name).chars().count());
            let end = Point::polar(*angle, ring.radius + INDENT + length);
            least = [least[0].min(end.x), least[1].min(end.y)];
            most = [most[0].max(end.x), most[1].max(end.y)];
        }
        let ([left, top], [right, bottom]) =
            (least.map(|v| (v - MARGIN).floor()), most.map(|v| (v + MARGIN).ceil()));
        Frame { left, top, width: right - left, height: bottom - top }
    }
}

/// Draws a graph.
pub(super) fn draw(graph: &Graph) -> Drawing {
    let ring = Ring::new(graph);
    let mut elements = String::new();
    elements.push_str("<g class=\"stretches\">\n");
    for &(kind, from, to) in &ring.stretches {
        let _ =
            writeln!(elements, "<path class=\"{}\" d=\"{}\"/>", kind.as_str(), ring.arc(from, to));
    }
    elements.push_str("</g>\n<g class=\"edges\">\n");
    // The much travelled last, on top.
    let mut order: Vec<(usize, &Edge)> = graph.edges.iter().enumerate().collect();
    order.sort_by_key(|(_, edge)| edge.count.calls);
    for (place, edge) in order {
        draw_edge(&mut elements, graph, &ring, place, edge);
    }
    elements.push_str("</g>\n<g class=\"nodes\">\n");
    for (place, (node, angle)) in graph.nodes.iter().zip(&ring.angles).enumerate() {
        draw_node(&mut elements, node, place, *angle, ring.radius);
    }
    elements.push_str("</g>\n");
    Drawing { elements, frame: Frame::around(graph, &ring) }
}

fn draw_edge(elements: &mut String, graph: &Graph, ring: &Ring, place: usize, edge: &Edge) {
    let share = graph.scale.at(edge.count.calls);
    let width = 0.8 + 5.2 * share * share;
    let (line, head) = ring.edge(graph, edge, width);
    let kind = graph.nodes.get(edge.from).map_or("", |node| node.kind.as_str());
    let _ = writeln!(
        elements,
        "<g class=\"edge {kind}\" data-edge=\"{place}\" data-from=\"{}\" data-to=\"{}\" data-symbol=\"{}\" \
         data-calls=\"{}\" data-runs=\"{}\" opacity=\"{:.2}\"><title>{}</title>\
         <path d=\"{line}\" stroke-width=\"{}\"/><path class=\"head\" d=\"{head}\"/></g>",
        edge.from,
        edge.to,
        markup(&edge.symbol.to_string()),
        edge.count.calls,
        edge.count.runs,
        0.42 + 0.48 * share,
        markup(&graph.sentence(edge)),
        round(width),
    );
}

fn draw_node(elements: &mut String, node: &Node, place: usize, angle: f64, radius: f64) {
    let (role, mark) = match node.role {
        Role::Passage => ("passage", "<circle class=\"mark\" r=\"4.5\"/>"),
        Role::Start => ("start", "<path class=\"mark\" d=\"M-5 -6L7 0L-5 6Z\"/>"),
        Role::Handler => ("handler", "<path class=\"mark\" d=\"M-7 0L0 -7L7 0L0 7Z\"/>"),
        Role::End => ("end", "<circle class=\"mark\" r=\"4.5\"/>"),
    };
    let kind = node.kind.as_str();
    let shown = label(&node.name);
    let wide = round(LETTER * float(shown.chars().count()) + 6.0);
    // On the left a label is turned round, so that none stands on its head.
    let (turn, x, anchor, left) = if angle.cos() < -1e-9 {
        (180.0, -INDENT, "end", -INDENT - wide + 3.0)
    } else {
        (0.0, INDENT, "start", INDENT - 3.0)
    };
    let _ = writeln!(
        elements,
        "<g class=\"node {kind} {role}\" data-node=\"{place}\" data-name=\"{name}\" data-kind=\"{kind}\" \
         transform=\"rotate({degrees}) translate({at} 0) rotate({turn})\"><title>{title}</title>\
         <rect class=\"hit\" x=\"{left}\" y=\"-8\" width=\"{wide}\" height=\"16\" rx=\"3\"/>{mark}\
         <text x=\"{x}\" y=\"4\" text-anchor=\"{anchor}\">{shown}</text></g>",
        name = markup(&node.name),
        degrees = round(angle.to_degrees()),
        at = round(radius),
        left = round(left),
        title = markup(&title(node)),
        shown = markup(&shown),
    );
}

fn title(node: &Node) -> String {
    let (inward, outward) = node.degree;
    let role = match node.role {
        Role::Passage => "",
        Role::Start => ", where the program begins",
        Role::Handler => ", where the signal's handler begins",
        Role::End => ", after which nothing may follow",
    };
    let counted = |count: usize| counted(count as u64, "transition");
    format!(
        "{} ({}{role}): {} to it, {} from it",
        node.name,
        node.kind.as_str(),
        counted(inward),
        counted(outward)
    )
}

/// What of a context's name fits: its newest symbols.
fn label(name: &str) -> String {
    if name.chars().count() <= LABEL {
        return name.into();
    }
    let mut shown = String::new();
    for symbol in name.rsplit(' ') {
        let longer =
            if shown.is_empty() { symbol.to_string() } else { format!("{symbol} {shown}") };
        if longer.chars().count() + 2 > LABEL && !shown.is_empty() {
            break;
        }
        shown = longer;
    }
    format!("… {shown}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::test_policy::{policy, SIGNALS};

    #[test]
    fn each_state_and_transition_is_drawn_once() {
        let drawn = draw(&Graph::new(&policy(SIGNALS).machine)).elements;
        assert_eq!(drawn.matches("class=\"node ").count(), 6);
        assert_eq!(drawn.matches("class=\"edge ").count(), 5);
        for part in
            ["signals handler", "processes start", "processes end", "data-name=\"@SIGUSR1\""]
        {
            assert_eq!(drawn.matches(part).count(), 1, "{part}");
        }
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn what_is_travelled_most_is_thickest_and_on_top() {
        let drawn = draw(&Graph::new(&policy(SIGNALS).machine)).elements;
        let lines: Vec<&str> = drawn.lines().filter(|l| l.starts_with("<g class=\"edge")).collect();
        let hot = lines.last().copied().unwrap_or_default();
        assert!(
            hot.contains("brk → write: 1,000 calls") && hot.contains("stroke-width=\"6\""),
            "{hot}"
        );
        assert_eq!(drawn.matches("stroke-width=\"6\"").count(), 1);
    }

    #[test]
    fn a_long_context_is_shown_by_its_newest_symbols() {
        assert_eq!(label("openat"), "openat");
        assert_eq!(label("openat newfstatat mmap pread64 close"), "… mmap pread64 close");
        let long = "x".repeat(40);
        assert_eq!(label(&long), format!("… {long}"));
    }
}
