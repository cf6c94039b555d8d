//! The table of transitions, the rarest first: what few runs have shown is where the next run is
//! likely to show something else.

use super::escape::markup;
use super::graph::{Edge, Graph};
use super::scale::grouped;
use std::fmt::Write as _;

/// The table's rows.
pub(super) fn rows(graph: &Graph) -> String {
    let mut order: Vec<(usize, &Edge)> = graph.edges.iter().enumerate().collect();
    order.sort_by_key(|(_, edge)| (edge.count.runs, edge.count.calls));
    let mut rows = String::new();
    for (place, edge) in order {
        let _ = writeln!(
            rows,
            "<tr data-edge=\"{place}\"><td><button type=\"button\" data-go=\"{}\">{}</button></td>\
             <td><button type=\"button\" data-go=\"{}\">{}</button></td><td>{}</td><td>{}</td></tr>",
            edge.from,
            markup(graph.name(edge.from)),
            edge.to,
            markup(&edge.symbol.to_string()),
            grouped(edge.count.runs),
            grouped(edge.count.calls),
        );
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::test_policy::{policy, SIGNALS};

    #[test]
    fn what_one_run_showed_comes_first_then_the_fewest_calls() {
        let text = rows(&Graph::new(&policy(SIGNALS).machine));
        let counts: Vec<&str> = text
            .lines()
            .filter_map(|l| l.rsplit("</button></td><td>").next()?.strip_suffix("</td></tr>"))
            .collect();
        assert_eq!(
            counts,
            ["1</td><td>3", "1</td><td>3", "2</td><td>2", "2</td><td>2", "2</td><td>1,000"]
        );
    }
}
