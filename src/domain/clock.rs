//! Time as a parameter, so that tests decide what time it is.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The moment `secs` seconds after the epoch (a JWT `NumericDate`); saturates.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment `span` later; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The moment `span` earlier; saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// How long ago `earlier` was; zero when it lies ahead (a clock may step back).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// The years that RFC 3339 can write, 0000 to 9999, in seconds.
const WRITABLE: [i64; 2] = [-62_167_219_200, 253_402_300_799];

/// RFC 3339 in UTC with milliseconds; what is beyond its years is written as the nearest end of them.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, last] = WRITABLE;
        let seconds = self.as_secs().clamp(first, last);
        let moment = time::OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| fmt::Error)?;
        let year = u16::try_from(moment.year()).map_err(|_| fmt::Error)?;
        let millis = u16::try_from(self.0.rem_euclid(1000)).map_err(|_| fmt::Error)?;
        let [_, y1, y2, y3, y4] = digits(year);
        let [.., o1, o2] = digits(u8::from(moment.month()).into());
        let [.., d1, d2] = digits(moment.day().into());
        let [.., h1, h2] = digits(moment.hour().into());
        let [.., m1, m2] = digits(moment.minute().into());
        let [.., s1, s2] = digits(moment.second().into());
        let [.., f1, f2, f3] = digits(millis);
        // One in each line of a log: by hand it is several times as quick as by the formatter.
        let text = [y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', f1, f2, f3, b'Z'];
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// A number's five last decimal digits.
fn digits(number: u16) -> [u8; 5] {
    [10_000, 1000, 100, 10, 1].map(|place| b'0' + (number / place % 10) as u8)
}

/// What time it is.
pub trait Clock: Send + Sync {
    /// Wall-clock time, for what is written down and compared across machines.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment, never stepping back, for waits and freshness.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(millis(since))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that moves only when told to: for tests.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    started: i64,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.0), started: now.0 }
    }

    /// Moves it forward.
    pub fn advance(&self, span: Duration) {
        self.now.fetch_add(millis(span), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp(self.started))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(1_795_360_503_042).to_string(), "2026-11-22T15:15:03.042Z");
        assert_eq!(Timestamp::from_secs(-1).to_string(), "1969-12-31T23:59:59.000Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "0000-01-01T00:00:00.192Z");
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.807Z");
    }

    #[test]
    fn a_moment_ahead_is_no_time_ago() {
        assert_eq!(Timestamp::from_secs(1).since(Timestamp::from_secs(2)), Duration::ZERO);
    }
}
