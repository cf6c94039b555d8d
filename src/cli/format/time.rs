//! Times of day, and lengths of time, as they are written.

use jiff::Timestamp;
use std::time::{Duration, SystemTime};

/// RFC 3339 in UTC, to the nanosecond.
pub(crate) fn stamp(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |t| format!("{t:.9}"))
}

/// A length of time as a user writes it: `90s`, `10m`, `2h`, also `500ms`.
pub(crate) fn parse_length(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let length =
        number.parse::<u64>().ok().and_then(|n| n.checked_mul(milliseconds)).filter(|&ms| ms > 0);
    length.map(Duration::from_millis).ok_or_else(|| {
        format!("`{text}` is no length of time\nhint: write a number and its unit, as in 90s, 10m or 2h")
    })
}

/// A length of time for people: its two largest units would be too much.
pub(crate) fn rough(length: Duration) -> String {
    match length.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7200), ("1000ms", 1)] {
            assert_eq!(parse_length(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "10", "s", "0s", "-1s", "1.5h", "10 m", "2d", "99999999999999999999h"] {
            assert!(parse_length(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rough_length_has_one_unit() {
        let rough = |seconds| rough(Duration::from_secs(seconds));
        assert_eq!(
            (rough(119), rough(120), rough(7200)),
            ("119 s".into(), "2 min".into(), "2 h".into())
        );
    }
}
