//! Where a node stands and how an edge runs: the nodes stand on a ring, each kind together, and the
//! edges between two kinds run together for a while, so that many of them are few roads and no
//! hairball.
//!
//! The roads are those of hierarchical edge bundling (Holten, 2006): an edge is a B-spline that is
//! drawn towards the middles of the two kinds that it joins.

use super::graph::{Edge, Graph};
use super::kind::Kind;
use super::scale::{float, round};
use std::f64::consts::{PI, TAU};
use std::fmt::Write as _;

/// How much of the ring one node takes: a line of text, and a little air.
const SLOT: f64 = 16.0;
/// The gap between two kinds, in slots.
const GAP: f64 = 1.4;
/// The smallest ring.
const RADIUS: f64 = 250.0;
/// How far an edge stays away from the middle of the nodes.
const AWAY: f64 = 8.0;
/// How far beside its node an edge leaves, and, on the other side, arrives.
const PORT: f64 = 3.2;
/// How strongly an edge is drawn to the road.
const BUNDLE: f64 = 0.86;

/// A point; the ring's middle is at 0, 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

impl Point {
    /// At an angle, clockwise from the right, and a distance from the middle.
    pub(super) fn polar(angle: f64, radius: f64) -> Self {
        Point { x: radius * angle.cos(), y: radius * angle.sin() }
    }

    /// `self` at 0, `other` at 1.
    fn towards(self, other: Point, share: f64) -> Self {
        Point { x: self.x + (other.x - self.x) * share, y: self.y + (other.y - self.y) * share }
    }
}

/// The place of everything.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    /// From the middle to the nodes.
    pub(super) radius: f64,
    /// The angle of each node, clockwise from the right.
    pub(super) angles: Vec<f64>,
    /// The stretch of each kind: from angle, to angle.
    pub(super) stretches: Vec<(Kind, f64, f64)>,
}

impl Ring {
    /// Gives each node of the graph its place, kind after kind, from the top.
    pub(super) fn new(graph: &Graph) -> Self {
        let kinds: Vec<(Kind, usize)> = graph.kinds().collect();
        let gap = if kinds.len() > 1 { GAP } else { 0.0 };
        let slots = (float(graph.nodes.len()) + gap * float(kinds.len())).max(1.0);
        let slot = TAU / slots;
        let mut ring = Ring {
            radius: (slots * SLOT / TAU).max(RADIUS),
            angles: Vec::with_capacity(graph.nodes.len()),
            stretches: Vec::with_capacity(kinds.len()),
        };
        let mut at = -PI / 2.0;
        for (kind, size) in kinds {
            let end = at + slot * float(size);
            ring.stretches.push((kind, at, end));
            ring.angles.extend((0..size).map(|place| at + slot * (float(place) + 0.5)));
            at = end + slot * gap;
        }
        ring
    }

    /// The line of an edge and its head, as SVG's path data.
    pub(super) fn edge(&self, graph: &Graph, edge: &Edge, width: f64) -> (String, String) {
        let leave = self.angle(edge.from) + PORT / self.radius;
        let arrive = self.angle(edge.to) - PORT / self.radius;
        let head = 4.0 + width * 1.5;
        let start = Point::polar(leave, self.radius - AWAY);
        let end = Point::polar(arrive, self.radius - AWAY - head * 0.8);
        let line = match (self.middle_of(graph, edge.from), self.middle_of(graph, edge.to)) {
            (Some(one), Some(other)) if (one - other).abs() > f64::EPSILON => {
                let (a, b) = (
                    Point::polar(one, self.radius * 0.55),
                    Point::polar(other, self.radius * 0.55),
                );
                let between = a.towards(b, 0.5);
                // The stretch before the last leads straight outwards, so that the head does.
                let outwards = Point::polar(arrive, self.radius * 0.8);
                let road =
                    [start, a, Point { x: between.x * 0.5, y: between.y * 0.5 }, b, outwards, end];
                spline(&bundled(&road))
            }
            // Among its own kind an edge stays near the ring: the farther it goes, the deeper.
            _ => {
                let depth = (0.08 + 0.35 * (leave - arrive).abs()).min(0.6);
                let [a, b] =
                    [leave, arrive].map(|angle| Point::polar(angle, self.radius * (1.0 - depth)));
                let [a, b, end] = [a, b, end].map(|p| format!("{} {}", round(p.x), round(p.y)));
                format!("M{} {}C{a} {b} {end}", round(start.x), round(start.y))
            }
        };
        (line, self.head(arrive, head))
    }

    fn angle(&self, node: usize) -> f64 {
        self.angles.get(node).copied().unwrap_or_default()
    }

    /// The middle of the stretch that a node stands in.
    fn middle_of(&self, graph: &Graph, node: usize) -> Option<f64> {
        let kind = graph.nodes.get(node)?.kind;
        self.stretches.iter().find(|s| s.0 == kind).map(|&(_, from, to)| f64::midpoint(from, to))
    }

    /// A triangle that points outwards.
    fn head(&self, angle: f64, length: f64) -> String {
        let tip = self.radius - AWAY;
        let half = length * 0.42 / (tip - length);
        let corners = [(angle, tip), (angle + half, tip - length), (angle - half, tip - length)]
            .map(|(a, r)| Point::polar(a, r));
        let mut path = String::new();
        for (place, corner) in corners.into_iter().enumerate() {
            let _ = write!(
                path,
                "{}{} {}",
                if place == 0 { "M" } else { "L" },
                round(corner.x),
                round(corner.y)
            );
        }
        path + "Z"
    }

    /// A stretch of the ring from one angle to another, as SVG's path data.
    pub(super) fn arc(&self, from: f64, to: f64) -> String {
        let (a, b) = (Point::polar(from, self.radius), Point::polar(to, self.radius));
        let radius = round(self.radius);
        let long = u8::from(to - from > PI);
        format!(
            "M{} {}A{radius} {radius} 0 {long} 1 {} {}",
            round(a.x),
            round(a.y),
            round(b.x),
            round(b.y)
        )
    }
}

/// A road, drawn towards the straight line between its ends by what [`BUNDLE`] leaves.
fn bundled(road: &[Point]) -> Vec<Point> {
    let (Some(&start), Some(&end)) = (road.first(), road.last()) else {
        return Vec::new();
    };
    let last = float(road.len() - 1);
    let straight = (0..road.len()).map(|place| start.towards(end, float(place) / last));
    straight.zip(road).map(|(straight, &point)| straight.towards(point, BUNDLE)).collect()
}

/// A uniform cubic B-spline from the first point to the last, as Bézier curves.
fn spline(points: &[Point]) -> String {
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
        return String::new();
    };
    // An end that stands three times is met.
    let mut control = vec![first, first];
    control.extend(points);
    control.extend([last, last]);
    let mut path = format!("M{} {}", round(first.x), round(first.y));
    for window in control.windows(4) {
        if let [_, b, c, d] = *window {
            let corner = |f: fn(Point) -> f64| {
                let (b, c, d) = (f(b), f(c), f(d));
                [(2.0 * b + c) / 3.0, (b + 2.0 * c) / 3.0, (b + 4.0 * c + d) / 6.0].map(round)
            };
            let ([x1, x2, x3], [y1, y2, y3]) = (corner(|p| p.x), corner(|p| p.y));
            let _ = write!(path, "C{x1} {y1} {x2} {y2} {x3} {y3}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::test_policy::{policy, SIGNALS};

    #[test]
    fn every_node_has_a_place_of_its_own_and_kinds_stand_apart() {
        let graph = Graph::new(&policy(SIGNALS).machine);
        let ring = Ring::new(&graph);
        assert_eq!(ring.angles.len(), graph.nodes.len());
        assert!(ring
            .angles
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if (b - a) * ring.radius >= SLOT - 1e-6)));
        assert!(ring
            .stretches
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if (b.1 - a.2) * ring.radius >= SLOT)));
        let round = ring.stretches.last().map_or(0.0, |s| s.2) + PI / 2.0;
        assert!(round <= TAU, "the last meets the first");
    }

    #[test]
    fn a_ring_grows_with_its_nodes() {
        let calls: Vec<String> = (5000..5600).map(|n| format!("\"syscall_{n}\"")).collect();
        let text = format!(
            r#"{{"sysfsm": 1, "binary": "a", "depth": 1, "transitions": {{"": [{}]}}}}"#,
            calls.join(",")
        );
        let graph = Graph::new(&policy(&text).machine);
        let ring = Ring::new(&graph);
        assert!(ring.radius * TAU >= SLOT * float(graph.nodes.len()));
    }

    #[test]
    fn a_spline_meets_its_ends() {
        let points = [(0.0, 0.0), (50.0, 10.0), (100.0, 100.0)].map(|(x, y)| Point { x, y });
        let path = spline(&points);
        assert!(path.starts_with("M0 0C") && path.ends_with(" 100 100"), "{path}");
        assert_eq!(spline(&[]), "");
    }
}
