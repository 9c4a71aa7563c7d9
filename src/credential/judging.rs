//! What is judged of the claims of every token, whoever issued it (RFC 7519 §4.1, RFC 8725 §3).

use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::Timestamp;

/// When tokens are good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// How far clocks may differ.
    pub(super) leeway: Duration,
    /// How long a token may live.
    pub(super) max_lifetime: Duration,
    /// Whether it has to say when it was issued.
    pub(super) issued: bool,
}

/// From when until when a token is good, clocks that differ included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifespan {
    /// `exp`.
    pub(super) expires_at: Timestamp,
    from: Timestamp,
    until: Timestamp,
}

impl Lifespan {
    /// That of a token which begins at `begins`, where it says when.
    pub(super) fn of(expires_at: Timestamp, begins: Option<Timestamp>, leeway: Duration) -> Self {
        let from = begins.map_or(Timestamp::from_millis(i64::MIN), |begins| begins.minus(leeway));
        Self { expires_at, from, until: expires_at.plus(leeway) }
    }

    /// Whether it is good at `now`.
    pub(super) fn holds(self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

impl Times {
    /// When the token is good, where it is at `now` (RFC 7519 §4.1.4 to §4.1.6) and is not meant to live longer than tokens may.
    pub(super) fn judge(self, claims: &Map<String, Value>, now: Timestamp) -> Result<Lifespan, &'static str> {
        let iat = whole(claims, "iat");
        let (Some(exp), true) = (whole(claims, "exp"), iat.is_some() || !(self.issued || claims.contains_key("iat"))) else {
            return Err("The token's exp or iat is missing or no whole number of seconds.");
        };
        let (expires_at, issued_at) = (Timestamp::from_secs(exp), iat.map(Timestamp::from_secs));
        let mut begins = issued_at;
        if now >= expires_at.plus(self.leeway) {
            return Err("The token has expired.");
        }
        if issued_at.is_some_and(|issued_at| issued_at > now.plus(self.leeway)) {
            return Err("The token was issued in the future.");
        }
        // Who does not say when it was issued may have done so just now. With iat in the past this bounds exp too.
        if expires_at.since(issued_at.unwrap_or(now)) > self.max_lifetime {
            return Err("The token lives longer than tokens may.");
        }
        if claims.contains_key("nbf") {
            let nbf = whole(claims, "nbf").map(Timestamp::from_secs).ok_or("The token's nbf is no whole number of seconds.")?;
            if nbf > now.plus(self.leeway) {
                return Err("The token is not valid yet.");
            }
            begins = begins.max(Some(nbf));
        }
        Ok(Lifespan::of(expires_at, begins, self.leeway))
    }
}

/// Whether `aud` is one audience or several (RFC 7519 §4.1.3), one of `ours` among them.
pub(super) fn audience<S: AsRef<str>>(claims: &Map<String, Value>, ours: &[S]) -> Result<(), &'static str> {
    let is_ours = |value: &Value| value.as_str().is_some_and(|text| ours.iter().any(|one| one.as_ref() == text));
    let good = match claims.get("aud") {
        Some(one @ Value::String(_)) => is_ours(one),
        Some(Value::Array(several)) => several.iter().all(Value::is_string) && several.iter().any(is_ours),
        _ => false,
    };
    if good { Ok(()) } else { Err("The token is for another audience.") }
}

/// A string.
pub(super) fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// A number that was written without fraction and exponent, and is not negative.
pub(super) fn whole(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    claims.get(name).and_then(Value::as_i64).filter(|number| *number >= 0)
}

/// A member that may be left out, but may not be of another type.
pub(super) fn optional<T>(
    claims: &Map<String, Value>,
    name: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, &'static str> {
    claims.get(name).map(|value| read(value).ok_or("A claim of the token is of the wrong type.")).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_795_360_500;

    fn judge(issued: bool, claims: &Value) -> Result<Timestamp, &'static str> {
        let times = Times { leeway: Duration::from_secs(30), max_lifetime: Duration::from_hours(1), issued };
        times.judge(claims.as_object().expect("an object"), Timestamp::from_secs(NOW)).map(|lifespan| lifespan.expires_at)
    }

    #[test]
    fn who_does_not_say_when_a_token_was_issued_may_have_done_so_just_now() {
        assert_eq!(judge(false, &json!({ "exp": NOW + 3600 })), Ok(Timestamp::from_secs(NOW + 3600)));
        assert!(judge(false, &json!({ "exp": NOW + 3601 })).is_err_and(|why| why.contains("longer")));
        assert!(judge(true, &json!({ "exp": NOW + 60 })).is_err_and(|why| why.contains("iat")));
        for iat in [json!(null), json!("1"), json!(1.5), json!(-1)] {
            assert!(judge(false, &json!({ "exp": NOW + 60, "iat": iat })).is_err(), "{iat}");
        }
        assert!(judge(false, &json!({ "iat": NOW })).is_err_and(|why| why.contains("exp")));
    }
}
