//! The from×to map: a row for each state, a column for each symbol, the hotter the more calls.

use super::escape::markup;
use super::graph::{Edge, Graph};
use super::kind::Kind;
use super::scale::{float, round};
use crate::syscall::Symbol;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The side of a cell.
const CELL: f64 = 14.0;
/// The width of a letter: monospaced, 11 pixels high (`page.css`), and a little more.
const LETTER: f64 = 6.8;

/// The map as an SVG element.
pub(super) fn map(graph: &Graph) -> String {
    let rows = places(graph.edges.iter().map(|edge| edge.from));
    let columns = columns(&graph.edges);
    let longest =
        |names: &mut dyn Iterator<Item = usize>| LETTER * float(names.max().unwrap_or(0)) + 12.0;
    let left = longest(&mut rows.iter().map(|&row| graph.name(row).chars().count()));
    let top = longest(&mut columns.iter().map(|(_, name, _)| name.chars().count()));
    let (wide, high) = (CELL * float(columns.len()), CELL * float(rows.len()));
    let (width, height) = (round(left + wide + 2.0).ceil(), round(top + high + 2.0).ceil());
    let mut svg = format!(
        "<svg class=\"heat{}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" tabindex=\"0\" \
         role=\"img\" aria-label=\"map of the transitions: from a state, down, to a symbol, across\">\n\
         <rect class=\"ground\" x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{high}\"/>\n\
         <rect class=\"cross row\" x=\"0\" y=\"0\" width=\"{width}\" height=\"{CELL}\" visibility=\"hidden\"/>\n\
         <rect class=\"cross column\" x=\"0\" y=\"0\" width=\"{CELL}\" height=\"{height}\" visibility=\"hidden\"/>\n",
        // A narrow window shrinks a wide map, but not until it cannot be read.
        if width > 700.0 { " wide" } else { "" },
        left = round(left),
        top = round(top),
    );
    let mut last = None;
    for (place, &row) in rows.iter().enumerate() {
        let y = top + CELL * float(place);
        let kind = graph.nodes.get(row).map(|node| node.kind);
        separate(&mut svg, last, kind, [left, y, left + wide, y]);
        last = kind;
        let _ = writeln!(
            svg,
            "<text class=\"{}\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            kind.map_or("", Kind::as_str),
            round(left - 5.0),
            round(y + CELL - 3.5),
            markup(graph.name(row))
        );
    }
    last = None;
    for (place, (kind, name, _)) in columns.iter().enumerate() {
        let x = left + CELL * float(place);
        separate(&mut svg, last, Some(*kind), [x, top, x, top + high]);
        last = Some(*kind);
        let _ = writeln!(
            svg,
            "<text class=\"{}\" transform=\"translate({} {}) rotate(-90)\">{}</text>",
            kind.as_str(),
            round(x + CELL - 3.5),
            round(top - 5.0),
            markup(name)
        );
    }
    for (place, edge) in graph.edges.iter().enumerate() {
        let row = rows.binary_search(&edge.from).unwrap_or_default();
        let column = columns.iter().position(|c| c.2 == edge.symbol).unwrap_or_default();
        let _ = writeln!(
            svg,
            "<rect class=\"cell\" data-edge=\"{place}\" x=\"{}\" y=\"{}\" width=\"{side}\" height=\"{side}\" \
             fill-opacity=\"{:.2}\"><title>{}</title></rect>",
            round(left + CELL * float(column) + 0.5),
            round(top + CELL * float(row) + 0.5),
            0.16 + 0.84 * graph.scale.at(edge.count.calls),
            markup(&graph.sentence(edge)),
            side = CELL - 1.0,
        );
    }
    svg + "</svg>\n"
}

/// A line where one kind ends and another begins.
fn separate(svg: &mut String, last: Option<Kind>, kind: Option<Kind>, ends: [f64; 4]) {
    if last.is_some() && last != kind {
        let [x1, y1, x2, y2] = ends.map(round);
        let _ = writeln!(svg, "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>");
    }
}

fn places(all: impl Iterator<Item = usize>) -> Vec<usize> {
    all.collect::<BTreeSet<usize>>().into_iter().collect()
}

/// The symbols that transitions read, by kind and name.
fn columns(edges: &[Edge]) -> Vec<(Kind, String, Symbol)> {
    let all: BTreeSet<(Kind, String, Symbol)> = edges
        .iter()
        .map(|edge| (Kind::of(edge.symbol), edge.symbol.to_string(), edge.symbol))
        .collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::test_policy::{policy, SIGNALS};

    #[test]
    fn each_transition_is_a_cell_in_its_states_row_and_its_symbols_column() {
        let svg = map(&Graph::new(&policy(SIGNALS).machine));
        assert_eq!(svg.matches("class=\"cell\"").count(), 5);
        // Four states with a way on, four symbols that are read.
        assert_eq!(svg.matches("<text").count(), 8);
        assert!(
            svg.contains("fill-opacity=\"1.00\"><title>brk → write: 1,000 calls in 2 runs</title>"),
            "{svg}"
        );
        let mut places: Vec<&str> = svg
            .lines()
            .filter(|l| l.contains("class=\"cell\""))
            .filter_map(|l| l.split(" x=").nth(1)?.split(" width").next())
            .collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 5, "two cells at one place");
    }
}
