//! Reads a body of named fields into a type of the handler's own, as JSON or as a form: the only reader of bodies, so that
//! every endpoint refuses alike.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};

use super::answer::{OAuthRefused, Refused};
use crate::domain::ScopeSet;
use crate::problem::Refusal;

/// The largest body of an own endpoint.
const MAX: usize = 16 * 1024;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A body of JSON: what it lacks, or holds of another type, is named in the refusal.
///
/// Not a form: a page of another site can send one without being asked.
pub(super) struct Json<T>(pub(super) T);

/// The parameters of a query, read as a form is.
pub(super) struct Query<T>(pub(super) T);

/// The same as JSON or as a form.
pub(super) struct JsonOrForm<T> {
    /// What it says.
    pub(super) fields: T,
    /// Whether it came as a form: all values were text.
    pub(super) is_form: bool,
}

/// A form as OAuth 2 sends it (RFC 6749 §3.2): a parameter without a value is as if it were not there.
pub(super) struct OAuthForm<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + PartialSchema> FromRequest<S> for OAuthForm<T> {
    type Rejection = OAuthRefused;

    async fn from_request(request: Request, _: &S) -> Result<Self, OAuthRefused> {
        let mut fields = Fields::arrived(request, Takes::Form).await?;
        fields.is_form = true;
        fields.fields.retain(|_, value| value != "");
        Ok(Self(fields.read()?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + PartialSchema> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let fields = Fields::arrived(request, Takes::Json).await?;
        Ok(Self(fields.read()?))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + PartialSchema> FromRequest<S> for JsonOrForm<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let fields = Fields::arrived(request, Takes::JsonOrForm).await?;
        let is_form = fields.is_form;
        Ok(Self { fields: fields.read()?, is_form })
    }
}

impl<S: Send + Sync, T: DeserializeOwned + PartialSchema> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let fields = Fields { fields: form(parts.uri.query().unwrap_or_default().as_bytes())?, is_form: true };
        Ok(Self(fields.read()?))
    }
}

/// Scopes as RFC 6749 §3.3 writes them; an empty text asks for none in particular, as if it were not there.
pub(super) fn scopes(text: Option<&str>) -> Result<Option<ScopeSet>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let scopes: ScopeSet = text.parse().map_err(|_| Refusal::InvalidScope)?;
    Ok((!scopes.is_empty()).then_some(scopes))
}

/// A field whose text is none of those that it may be.
pub(super) fn wrong(field: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::InvalidBody { field: field.into(), detail: detail.into() }
}

/// What a body may come as.
#[derive(Clone, Copy)]
enum Takes {
    Json,
    JsonOrForm,
    Form,
}

impl Takes {
    /// What an answer 415 names.
    const fn names(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::JsonOrForm => "application/json or application/x-www-form-urlencoded",
            Self::Form => FORM,
        }
    }
}

/// The fields of a body. Those that nobody asks for are ignored; none comes twice.
struct Fields {
    fields: BTreeMap<String, Value>,
    is_form: bool,
}

impl Fields {
    async fn arrived(request: Request, takes: Takes) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let announced = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > MAX as u64) {
            return Err(Refusal::BodyTooLarge(MAX as u64));
        }
        let bytes = Limited::new(body, MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Refusal::BodyTooLarge(MAX as u64)
            } else {
                Refusal::InvalidRequest("The body did not arrive whole.")
            }
        })?;
        Self::parse(&parts.headers, &bytes.to_bytes(), takes)
    }

    fn parse(headers: &HeaderMap, body: &[u8], takes: Takes) -> Result<Self, Refusal> {
        if body.is_empty() {
            // Nothing is nothing in every format.
            return Ok(Self { fields: BTreeMap::new(), is_form: false });
        }
        match (media_type(headers).as_deref(), takes) {
            (Some(JSON), Takes::Json | Takes::JsonOrForm) => Ok(Self { fields: json(body)?, is_form: false }),
            (Some(FORM), Takes::Form | Takes::JsonOrForm) => Ok(Self { fields: form(body)?, is_form: true }),
            _ => Err(Refusal::UnsupportedMediaType(takes.names())),
        }
    }

    /// The fields as `T`, whose schema says which have to be there and what each is.
    ///
    /// No refusal quotes a value: it may be a password in the wrong place.
    fn read<T: DeserializeOwned + PartialSchema>(self) -> Result<T, Refusal> {
        let RefOr::T(Schema::Object(schema)) = T::schema() else { return Err(malformed("The body can't be read.")) };
        let mut fields = self.fields;
        fields.retain(|name, _| schema.properties.contains_key(name));
        for field in &schema.required {
            if matches!(fields.get(field), None | Some(Value::Null)) {
                return Err(wrong(field.clone(), format!("`{field}` is missing.")));
            }
        }
        if self.is_form {
            for (name, value) in &mut fields {
                from_text(value, &schema, name);
            }
        }
        let value = Value::Object(fields.into_iter().collect::<Map<_, _>>());
        serde_path_to_error::deserialize(&value).map_err(|error| mistyped(&value, &schema, &error.path().to_string()))
    }
}

/// What `field` is by the schema; nothing for what is one of several things.
fn wanted(schema: &Object, field: &str) -> Option<Type> {
    let field = match schema.properties.get(field)? {
        RefOr::T(Schema::Object(field)) => field,
        RefOr::T(Schema::Array(_)) => return Some(Type::Array),
        RefOr::Ref(_) | RefOr::T(_) => return None,
    };
    match &field.schema_type {
        SchemaType::Type(one) => Some(one.clone()),
        SchemaType::Array(several) => several.iter().find(|one| **one != Type::Null).cloned(),
        SchemaType::AnyValue => None,
    }
}

/// A form writes `true` and `false` for a boolean, and digits for a number.
fn from_text(value: &mut Value, schema: &Object, field: &str) {
    let Some(text) = value.as_str() else { return };
    let read = match wanted(schema, field) {
        Some(Type::Boolean) => text.parse::<bool>().ok().map(Value::from),
        Some(Type::Integer) => text.parse::<i64>().ok().map(Value::from),
        _ => None,
    };
    if let Some(read) = read {
        *value = read;
    }
}

/// Names the place at `path` (`a`, `a.b`, `a[0]`), what is there, and what has to be.
fn mistyped(body: &Value, schema: &Object, path: &str) -> Refusal {
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    let found = body.pointer(&pointer).map_or("that", kind);
    let detail = match wanted(schema, path) {
        Some(Type::Boolean) => format!("`{path}` must be true or false, not {found}."),
        Some(Type::String) => format!("`{path}` must be a string, not {found}."),
        Some(Type::Array) => format!("`{path}` must be an array, not {found}."),
        Some(Type::Object) => format!("`{path}` must be an object, not {found}."),
        Some(Type::Integer | Type::Number) => format!("`{path}` must be a number, not {found}."),
        _ => format!("`{path}` is of the wrong type: {found}."),
    };
    wrong(path.to_owned(), detail)
}

/// The media type without its parameters, in lower case; none where it is said twice or not at all.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    Some(value.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase())
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
    let detail = Cow::Owned(format!("`{field}` comes twice."));
    Refusal::InvalidBody { field: Cow::Owned(field), detail }
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
        let mut half = || decoded(halves.next().unwrap_or_default()).ok_or(malformed("The form must be UTF-8."));
        let (name, value) = (half()?, half()?);
        if fields.insert(name.clone(), Value::String(value)).is_some() {
            return Err(twice(name));
        }
    }
    Ok(fields)
}

/// One name or value of `application/x-www-form-urlencoded` as browsers write it; nothing where its bytes are no UTF-8.
pub(super) fn decoded(text: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
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

    #[derive(Debug, Deserialize, utoipa::ToSchema)]
    struct Sample {
        a: SecretText,
        flag: Option<bool>,
        list: Option<Vec<String>>,
    }

    #[derive(Debug, Deserialize, utoipa::ToSchema)]
    #[serde(transparent)]
    struct SecretText(String);

    fn read(kind: &'static str, body: &[u8]) -> Result<Sample, Refusal> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Fields::parse(&headers, body, Takes::JsonOrForm)?.read()
    }

    fn detail(kind: &'static str, body: &str) -> String {
        match read(kind, body.as_bytes()) {
            Err(Refusal::InvalidBody { field, detail }) => format!("{field}: {detail}"),
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn a_text_arrives_as_it_was_sent(text in any::<String>()) {
            let json = serde_json::json!({ "a": text }).to_string();
            let form = format!("b=&a={}", utf8_percent_encode(&text, NON_ALPHANUMERIC));
            for (kind, body) in [(JSON, json), (FORM, form)] {
                prop_assert_eq!(&read(kind, body.as_bytes()).expect("read").a.0, &text);
            }
        }

        #[test]
        fn whatever_arrives_is_fields_or_a_wrong_body(body in any::<Vec<u8>>()) {
            for kind in [JSON, FORM] {
                if let Err(refusal) = read(kind, &body) {
                    prop_assert_eq!(refusal.code(), "invalid_body");
                }
            }
        }
    }

    #[test]
    fn a_flag_is_a_boolean_in_json_and_a_word_in_a_form() {
        let flag = |kind, body: &str| read(kind, body.as_bytes()).map(|sample| sample.flag.filter(|_| sample.list.is_none()));
        assert_eq!(flag(JSON, r#"{"a": "", "flag": true}"#), Ok(Some(true)));
        assert_eq!(flag(JSON, r#"{"a": "", "flag": null}"#), Ok(None));
        assert_eq!(
            (flag(FORM, "a=&flag=true"), flag(FORM, "a=&flag=false"), flag(FORM, "a=&b=1")),
            (Ok(Some(true)), Ok(Some(false)), Ok(None))
        );
        assert_eq!(detail(JSON, r#"{"a": "", "flag": "true"}"#), "flag: `flag` must be true or false, not a string.");
        assert_eq!(detail(FORM, "a=&flag=1"), "flag: `flag` must be true or false, not a string.");
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_named_and_never_quoted() {
        for (body, told) in [
            ("{}", "a: `a` is missing."),
            (r#"{"a": null}"#, "a: `a` is missing."),
            (r#"{"a": 12345}"#, "a: `a` is of the wrong type: a number."),
            (r#"{"a": "", "list": "hunter2"}"#, "list: `list` must be an array, not a string."),
            (r#"{"a": "", "list": ["x", {"hunter2": 1}]}"#, "list[1]: `list[1]` is of the wrong type: an object."),
        ] {
            assert_eq!(detail(JSON, body), told);
        }
    }
}
