//! The state graph as a picture that stands by itself.

use super::drawing::{draw, Frame};
use super::escape::markup;
use super::facts::facts;
use super::graph::Graph;
use super::scale::float;
use crate::policy::Policy;
use std::fmt::Write as _;

/// How much room a kind has in the legend.
const LEGEND: f64 = 120.0;
/// The height of the title.
const TITLE: f64 = 34.0;

/// The policy's state graph as an SVG file: no script, nothing from elsewhere; on its own ground,
/// which is light or dark as its reader likes it.
#[must_use]
pub fn svg(policy: &Policy) -> String {
    let graph = Graph::new(&policy.machine);
    let drawing = draw(&graph);
    let Frame { left, top, width, height } = drawing.frame;
    let columns = ((width - 20.0) / LEGEND).floor().max(1.0);
    let lines = (float(graph.kinds().count()) / columns).ceil();
    let (legend, top, height) =
        (top + height + 12.0, top - TITLE, height + TITLE + lines * 20.0 + 12.0);
    let told: Vec<String> = facts(policy)
        .iter()
        .filter(|(name, _)| matches!(*name, "runs" | "states" | "transitions" | "counted calls"))
        .map(|(name, value)| format!("{value} {name}"))
        .collect();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"graph\" viewBox=\"{left} {top} {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{binary}</title>\n\
         <style>\n{style}</style>\n\
         <rect class=\"paper\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"{x}\" y=\"{y}\">{binary}</text>\n\
         <text class=\"told\" x=\"{end}\" y=\"{y}\" text-anchor=\"end\">{told}</text>\n{elements}",
        binary = markup(&policy.binary.to_string()),
        style = include_str!("drawing.css"),
        x = left + 10.0,
        end = left + width - 10.0,
        y = top + 22.0,
        told = markup(&told.join(", ")),
        elements = drawing.elements,
    );
    for (place, (kind, size)) in graph.kinds().enumerate() {
        let place = float(place);
        let (x, y) =
            (left + 16.0 + LEGEND * (place % columns), legend + 20.0 * (place / columns).floor());
        let kind = kind.as_str();
        let _ = writeln!(
            text,
            "<g class=\"legend {kind}\"><circle class=\"mark\" cx=\"{x}\" cy=\"{y}\" r=\"5\"/>\
             <text x=\"{}\" y=\"{}\">{kind} {size}</text></g>",
            x + 10.0,
            y + 4.0
        );
    }
    text + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::test_policy::{named, policy, SIGNALS};

    #[test]
    fn the_picture_has_a_title_the_graph_and_a_legend() {
        let text = svg(&policy(SIGNALS));
        assert!(
            text.contains("<title>/usr/bin/prog</title>")
                && text.contains("2 runs, 4 states, 5 transitions")
        );
        assert_eq!(text.matches("class=\"legend ").count(), 4);
        assert_eq!(text.matches("class=\"edge ").count(), 5);
        assert_eq!(text.matches("http").count(), 1, "the name space only");
    }

    #[test]
    fn a_name_cannot_leave_its_text() {
        let text = svg(&named("<script>alert(1)</script>"));
        assert!(!text.contains("<script"));
    }
}
