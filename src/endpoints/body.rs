//! Reads a body of named fields, as JSON or as a form: the only reader of bodies, so that every endpoint
//! takes both and refuses alike.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::answer::Refused;
use crate::domain::{ScopeSet, SecretString};
use crate::problem::Refusal;

/// The largest body of an own endpoint.
const MAX: usize = 16 * 1024;
/// What an answer 415 names.
const TAKES: &str = "application/json or application/x-www-form-urlencoded";

/// The fields of a body. Those that nobody asks for are ignored; none comes twice.
pub(super) struct Fields {
    fields: BTreeMap<String, Value>,
    /// Whether it came as a form: all values are then text.
    pub(super) is_form: bool,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > MAX as u64) {
            return Err(Refusal::BodyTooLarge(MAX as u64).into());
        }
        let bytes = Limited::new(body, MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Refusal::BodyTooLarge(MAX as u64)
            } else {
                Refusal::InvalidRequest("The body did not arrive whole.")
            }
        })?;
        Ok(Self::read(&parts.headers, &bytes.to_bytes())?)
    }
}

impl Fields {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            // Nothing is nothing in every format.
            return Ok(Self { fields: BTreeMap::new(), is_form: false });
        }
        match media_type(headers).as_deref() {
            Some("application/json") => Ok(Self { fields: json(body)?, is_form: false }),
            Some("application/x-www-form-urlencoded") => Ok(Self { fields: form(body)?, is_form: true }),
            _ => Err(Refusal::UnsupportedMediaType(TAKES)),
        }
    }

    /// A text that has to be there.
    pub(super) fn required(&mut self, field: &'static str) -> Result<SecretString, Refusal> {
        self.text(field)?.ok_or_else(|| wrong(field, format!("`{field}` is missing.")))
    }

    /// A text; `null` is none. All texts are taken for secrets.
    pub(super) fn text(&mut self, field: &'static str) -> Result<Option<SecretString>, Refusal> {
        match self.fields.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.into())),
            Some(other) => Err(wrong(field, format!("`{field}` must be a string, not {}.", kind(&other)))),
        }
    }

    /// A yes or no; `null` is none. A form says `true` or `false`.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<Option<bool>, Refusal> {
        match self.fields.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(Value::String(text)) if self.is_form && text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if self.is_form && text == "false" => Ok(Some(false)),
            Some(other) => Err(wrong(field, format!("`{field}` must be true or false, not {}.", kind(&other)))),
        }
    }

    /// Scopes as RFC 6749 §3.3 writes them; an empty text asks for none in particular, as if it were not there.
    pub(super) fn scope(&mut self, field: &'static str) -> Result<Option<ScopeSet>, Refusal> {
        use crate::domain::secret::ExposeSecret;
        let Some(text) = self.text(field)? else { return Ok(None) };
        let scopes: ScopeSet = text.expose_secret().parse().map_err(|_| Refusal::InvalidScope)?;
        Ok((!scopes.is_empty()).then_some(scopes))
    }
}

/// The media type without its parameters, in lower case; none where it is said twice or not at all.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    Some(value.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase())
}

fn wrong(field: &'static str, detail: String) -> Refusal {
    Refusal::InvalidBody { field: Cow::Borrowed(field), detail: Cow::Owned(detail) }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::InvalidBody { field: Cow::Borrowed(""), detail: Cow::Borrowed(detail) }
}

fn twice(field: String) -> Refusal {
    Refusal::InvalidBody { field: Cow::Owned(field), detail: Cow::Borrowed("This field comes twice.") }
}

fn json(body: &[u8]) -> Result<BTreeMap<String, Value>, Refusal> {
    // serde_json's own words would quote the body, and a body holds a password.
    let members: Members = serde_json::from_slice(body).map_err(|_| malformed("The body must be one JSON object in UTF-8."))?;
    members.twice.map_or(Ok(members.all), |field| Err(twice(field)))
}

fn form(body: &[u8]) -> Result<BTreeMap<String, Value>, Refusal> {
    let mut fields = BTreeMap::new();
    for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let name = decoded(halves.next().unwrap_or_default())?;
        let value = decoded(halves.next().unwrap_or_default())?;
        if fields.insert(name.clone(), Value::String(value)).is_some() {
            return Err(twice(name));
        }
    }
    Ok(fields)
}

/// `application/x-www-form-urlencoded` as browsers write it; bytes that are no UTF-8 are refused.
fn decoded(text: &[u8]) -> Result<String, Refusal> {
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).map_err(|_| malformed("The form must be UTF-8."))
}

/// A JSON object's members, where a name that comes twice is noticed: parsers disagree on which one counts.
struct Members {
    all: BTreeMap<String, Value>,
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members { all: BTreeMap::new(), twice: None };
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.all.insert(name.clone(), value).is_some() {
                        members.twice = Some(name);
                    }
                }
                Ok(members)
            }

            fn visit_unit<E: Error>(self) -> Result<Members, E> {
                Err(E::custom("not an object"))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::secret::ExposeSecret;

    fn read(kind: &'static str, body: &[u8]) -> Result<Fields, Refusal> {
        Fields::read(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]), body)
    }

    proptest! {
        #[test]
        fn a_text_arrives_as_it_was_sent(text in any::<String>()) {
            let json = serde_json::json!({ "a": text }).to_string();
            let form = format!("b=&a={}", utf8_percent_encode(&text, NON_ALPHANUMERIC));
            for (kind, body) in [("application/json", json), ("application/x-www-form-urlencoded", form)] {
                let read = read(kind, body.as_bytes()).expect("read").required("a").expect("there");
                prop_assert_eq!(read.expose_secret(), &text);
            }
        }

        #[test]
        fn whatever_arrives_is_fields_or_a_wrong_body(body in any::<Vec<u8>>()) {
            for kind in ["application/json", "application/x-www-form-urlencoded"] {
                if let Err(refusal) = read(kind, &body) {
                    prop_assert_eq!(refusal.code(), "invalid_body");
                }
            }
        }
    }

    #[test]
    fn a_flag_is_a_boolean_in_json_and_a_word_in_a_form() {
        let flag = |kind, body: &str| read(kind, body.as_bytes()).expect("read").flag("a");
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        assert_eq!(flag(json, r#"{"a": true}"#), Ok(Some(true)));
        assert_eq!(flag(json, r#"{"a": null}"#), Ok(None));
        assert_eq!((flag(form, "a=true"), flag(form, "a=false"), flag(form, "b=1")), (Ok(Some(true)), Ok(Some(false)), Ok(None)));
        assert!(flag(json, r#"{"a": "true"}"#).is_err() && flag(form, "a=1").is_err());
    }
}
