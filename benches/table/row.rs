//! A line of the table: what, its target, what came out, and whether that is enough.

use super::rounds::Spread;
use serde_json::{json, Value};

/// On which side of its bound a result has to be.
#[derive(Clone, Copy, PartialEq)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// Only told, for the sake of the others.
    None,
}

pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub target: Target,
    pub result: Spread,
}

impl Row {
    pub fn new(
        what: impl Into<String>,
        unit: &'static str,
        target: Target,
        result: Spread,
    ) -> Self {
        Row { what: what.into(), unit, target, result }
    }

    /// Whether the median is on the right side; what was not measured is not.
    pub fn met(&self) -> bool {
        match self.target {
            Target::AtMost(bound) => self.result.median <= bound,
            Target::AtLeast(bound) => self.result.median >= bound,
            Target::None => true,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.target, self.met()) {
            (Target::None, _) => "",
            (_, true) => "met",
            (_, false) => "MISSED",
        }
    }

    pub fn line(&self) -> String {
        let target = match self.target {
            Target::AtMost(bound) => format!("≤ {bound} {}", self.unit),
            Target::AtLeast(bound) => format!("≥ {bound} {}", self.unit),
            Target::None => String::new(),
        };
        let Spread { median, low, high } = self.result;
        format!(
            "| {} | {} | {median:.2} {} | {low:.2} to {high:.2} | {} |",
            self.what,
            target.trim_end(),
            self.unit,
            self.verdict()
        )
    }

    pub fn json(&self) -> Value {
        let (at_most, at_least) = match self.target {
            Target::AtMost(bound) => (Some(bound), None),
            Target::AtLeast(bound) => (None, Some(bound)),
            Target::None => (None, None),
        };
        json!({
            "what": self.what,
            "unit": self.unit,
            "at_most": at_most,
            "at_least": at_least,
            "median": self.result.median,
            "quartiles": [self.result.low, self.result.high],
            "met": self.met(),
        })
    }
}
