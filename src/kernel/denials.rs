//! How often calls may be denied before that is a kill.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// So many calls of one process may be denied within a time; the next one that is to be denied
/// kills the process. Written `1000/10`, the time in seconds; `any` is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denials(Option<(NonZeroU32, NonZeroU32)>);

impl Denials {
    /// Any number of calls.
    pub const ANY: Denials = Denials(None);

    /// The most calls; 0: any number.
    pub(crate) fn at_most(self) -> u32 {
        self.0.map_or(0, |(count, _)| count.get())
    }

    /// The time within which they are counted.
    pub(crate) fn within(self) -> Duration {
        Duration::from_secs(self.0.map_or(0, |(_, seconds)| seconds.get().into()))
    }
}

impl Default for Denials {
    fn default() -> Self {
        // A program that takes EPERM for an answer asks again a few times. One that lists a large
        // directory may ask once a file. An attacker who waits for a gap tries 100,000 times a
        // second.
        Denials(NonZeroU32::new(1000).zip(NonZeroU32::new(10)))
    }
}

impl fmt::Display for Denials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((count, seconds)) => write!(f, "{count}/{seconds}"),
            None => f.write_str("any"),
        }
    }
}

impl FromStr for Denials {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Denials::ANY);
        }
        let parsed = text
            .split_once('/')
            .and_then(|(count, seconds)| Some((count.parse().ok()?, seconds.parse().ok()?)));
        match parsed {
            Some(bound) => Ok(Denials(Some(bound))),
            None => Err("expected COUNT/SECONDS, both above 0, or `any`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_written_as_it_is_read() {
        for text in ["1000/10", "1/1", "any"] {
            assert_eq!(text.parse::<Denials>().map(|bound| bound.to_string()), Ok(text.into()));
        }
        assert_eq!(Denials::default().to_string(), "1000/10");
        for bad in ["", "5", "0/5", "5/0", "-1/5", "5/1s", "1/2/3", "Any"] {
            assert!(bad.parse::<Denials>().is_err(), "{bad}");
        }
    }
}
