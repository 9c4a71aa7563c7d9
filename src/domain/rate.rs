//! How often something may be done.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest period: a year.
const PERIOD_MAX: Duration = Duration::from_hours(366 * 24);

/// `N/period`: a burst of N, refilled over the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// N, at least 1.
    pub count: u32,
    /// The period, more than zero.
    pub period: Duration,
}

impl Rate {
    /// Whether it allows no more than `other`: neither at once nor in the long run.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        // 32 bits by some 55: no product of the two is too long.
        let (ours, theirs) = (self.count as u128 * other.period.as_nanos(), other.count as u128 * self.period.as_nanos());
        self.count <= other.count && ours <= theirs
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, humantime::format_duration(self.period).to_string().replace(' ', ""))
    }
}

/// It is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rate is how many a period: 5/1m is five a minute")]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, period) = text.split_once('/').ok_or(RateError)?;
        let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or(RateError)?;
        let period = humantime::parse_duration(period.trim()).map_err(|_| RateError)?;
        if period.is_zero() || period > PERIOD_MAX { Err(RateError) } else { Ok(Self { count, period }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().expect("a rate")
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["1/1s", "5/1m", "100/1h30m", "4294967295/366days", "7/1ns"] {
            assert_eq!(rate(&rate(text).to_string()), rate(text), "{text}");
        }
        for text in ["", "5", "/1m", "0/1m", "-1/1m", "5/", "5/0s", "5/1", "5/1m/1m", "4294967296/1m", "1/367days", "5/m"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError), "{text}");
        }
    }

    #[test]
    fn a_rate_is_within_another_at_once_and_in_the_long_run() {
        for (one, other, within) in [
            ("5/1m", "5/1m", true),
            ("5/2m", "5/1m", true),
            ("1/12s", "5/1m", true),
            ("5/59s", "5/1m", false),
            ("6/1h", "5/1m", false),
            ("4294967295/366days", "4294967295/366days", true),
            ("4294967295/1ns", "4294967295/366days", false),
        ] {
            assert_eq!(rate(one).is_within(rate(other)), within, "{one} within {other}");
        }
    }
}
