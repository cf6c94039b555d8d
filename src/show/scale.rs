//! Counts as the eye sees them: calls span many orders of magnitude, so a scale is logarithmic.

/// From no calls to the most that one transition has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    top: f64,
}

impl Scale {
    /// A scale that ends at the largest of `calls`.
    pub(super) fn of(calls: impl Iterator<Item = u64>) -> Self {
        Scale { top: logarithm(calls.max().unwrap_or(0)).max(f64::MIN_POSITIVE) }
    }

    /// Where `calls` stands, from 0 to 1.
    pub(super) fn at(self, calls: u64) -> f64 {
        logarithm(calls) / self.top
    }
}

#[allow(clippy::cast_precision_loss)] // A line is no thicker for the 54th bit.
fn logarithm(calls: u64) -> f64 {
    (calls as f64).ln_1p()
}

/// A count as a coordinate.
pub(super) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// A coordinate as it is written: one digit is a tenth of a pixel.
pub(super) fn round(value: f64) -> f64 {
    // Adding zero makes -0 a 0.
    (value * 10.0).round() / 10.0 + 0.0
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 call`, `1,234 calls`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_goes_from_nothing_to_the_most() {
        let scale = Scale::of([3, 1000, 7].into_iter());
        assert!(scale.at(0).abs() < 1e-9 && (scale.at(1000) - 1.0).abs() < 1e-9);
        assert!(scale.at(30) > 0.4 && scale.at(30) < 0.6);
        assert!(Scale::of(std::iter::empty()).at(0).is_finite());
        assert!(Scale::of([u64::MAX].into_iter()).at(u64::MAX).is_finite());
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"].map(ToString::to_string)
        );
        assert_eq!((counted(1, "call"), counted(2, "run")), ("1 call".into(), "2 runs".into()));
    }
}
