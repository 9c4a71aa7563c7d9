//! Templates of identity headers: `{username}`, `{claims.tenant.id}`, `user-{subject}`.

use serde_json::{Map, Value};

use super::principal::Principal;

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that does not exist.
    #[error(
        "`{{{0}}}` is no placeholder: there are subject, username, name, email, roles, scopes, method, issuer, session, key, \
         claims.x and attributes.x"
    )]
    Unknown(String),
    /// A brace without its other.
    #[error("a `{{` or `}}` stands alone")]
    Brace,
    /// Literal text that a header value can't hold.
    #[error("a header value holds printable ASCII only")]
    Literal,
}

/// A template, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Subject,
    Username,
    Name,
    Email,
    Roles,
    Scopes,
    Method,
    Issuer,
    Session,
    Key,
    Claim(Vec<String>),
    Attribute(Vec<String>),
}

impl Template {
    /// Reads a template. Literal text stays as it is, `%` too; braces stand only around placeholders.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Err(TemplateError::Literal);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, placeholder) = match rest.split_once('{') {
                Some((literal, behind)) => (literal, Some(behind)),
                None => (rest, None),
            };
            if literal.contains('}') {
                return Err(TemplateError::Brace);
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            let Some(behind) = placeholder else { break };
            let (name, behind) = behind.split_once('}').ok_or(TemplateError::Brace)?;
            parts.push(Part::parse(name)?);
            rest = behind;
        }
        Ok(Self { parts })
    }

    /// The header's value for a principal: printable ASCII; `None` where something that it names is absent.
    #[must_use]
    pub fn render(&self, principal: &Principal) -> Option<String> {
        let mut value = String::new();
        for part in &self.parts {
            part.render(principal, &mut value)?;
        }
        (!value.is_empty()).then_some(value)
    }
}

impl Part {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        let unknown = || TemplateError::Unknown(name.to_owned());
        let path = |rest: &str| -> Result<Vec<String>, TemplateError> {
            let names: Vec<String> = rest.split('.').map(str::to_owned).collect();
            if names.iter().any(String::is_empty) { Err(unknown()) } else { Ok(names) }
        };
        Ok(match name {
            "subject" => Self::Subject,
            "username" => Self::Username,
            "name" => Self::Name,
            "email" => Self::Email,
            "roles" => Self::Roles,
            "scopes" => Self::Scopes,
            "method" => Self::Method,
            "issuer" => Self::Issuer,
            "session" => Self::Session,
            "key" => Self::Key,
            other => match (other.strip_prefix("claims."), other.strip_prefix("attributes.")) {
                (Some(rest), _) => Self::Claim(path(rest)?),
                (_, Some(rest)) => Self::Attribute(path(rest)?),
                _ => return Err(unknown()),
            },
        })
    }

    fn render(&self, principal: &Principal, value: &mut String) -> Option<()> {
        match self {
            Self::Literal(text) => value.push_str(text),
            Self::Subject => escape(value, non_empty(&principal.shown(&principal.subject))?, false),
            Self::Username => escape(value, non_empty(&principal.shown(principal.username.as_deref()?))?, false),
            Self::Name => escape(value, non_empty(principal.full_name.as_deref()?)?, false),
            Self::Email => escape(value, non_empty(principal.email.as_deref()?)?, false),
            Self::Roles => list(value, principal.roles.iter().map(String::as_str))?,
            Self::Scopes => escape(value, non_empty(&principal.scopes.to_string())?, false),
            Self::Method => value.push_str(principal.method.as_str()),
            Self::Issuer => escape(value, non_empty(principal.issuer.name()?)?, false),
            Self::Session => value.push_str(&principal.session?.to_string()),
            Self::Key => value.push_str(principal.key.as_ref()?.as_str()),
            Self::Claim(path) => json(value, lookup(&principal.claims, path)?)?,
            Self::Attribute(path) => json(value, lookup(&principal.attributes, path)?)?,
        }
        Some(())
    }
}

/// The member at `path`, through objects. A name may hold dots itself: `a.b` is the member `a.b`, or else `b` of `a`.
#[must_use]
pub fn lookup<'a>(members: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    if let [name] = path {
        return members.get(name);
    }
    members.get(&path.join(".")).or_else(|| {
        (1..path.len()).rev().find_map(|length| {
            let (name, rest) = path.split_at(length);
            lookup(members.get(&name.join("."))?.as_object()?, rest)
        })
    })
}

/// The text of a string, a number or a boolean.
#[must_use]
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A scalar, or an array of scalars; what is neither is left out.
fn json(value: &mut String, found: &Value) -> Option<()> {
    if let Value::Array(items) = found {
        let items: Vec<String> = items.iter().filter_map(scalar_text).collect();
        list(value, items.iter().map(String::as_str))
    } else {
        escape(value, non_empty(&scalar_text(found)?)?, false);
        Some(())
    }
}

fn list<'a>(value: &mut String, items: impl Iterator<Item = &'a str>) -> Option<()> {
    let mut some = false;
    for item in items.filter(|item| !item.is_empty()) {
        if some {
            value.push(',');
        }
        escape(value, item, true);
        some = true;
    }
    some.then_some(())
}

/// Percent-encodes what is not printable ASCII, `%`, and in items of a list `,`.
fn escape(value: &mut String, text: &str, item: bool) {
    for byte in text.bytes() {
        match byte {
            b'%' => value.push_str("%25"),
            b',' if item => value.push_str("%2C"),
            0x20..=0x7e => value.push(char::from(byte)),
            other => value.push_str(percent_encoding::percent_encode_byte(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{CredentialKind, Issuer, KeyId, ScopeSet, SystemEntropy};

    fn principal() -> Principal {
        let members = |value: Value| value.as_object().cloned().expect("an object");
        Principal {
            username: Some("alice".into()),
            full_name: Some("Ålice, \r\nX-Admin: 1 100%".into()),
            roles: vec!["a,b".into(), "c".into()],
            scopes: "items:read orders".parse::<ScopeSet>().expect("scopes"),
            attributes: members(json!({"tenant": "t1", "n": 7, "deep": {"er": [1, "x,y", true, null, {"z": 1}]}})),
            claims: members(json!({"admin": false, "none": null, "empty": "", "list": [], "o": {}})),
            ..Principal::own("0190", CredentialKind::Bearer)
        }
    }

    fn render(template: &str, principal: &Principal) -> Option<String> {
        Template::parse(template).expect("a template").render(principal)
    }

    #[test]
    fn values_are_filled_in_and_escaped() {
        let alice = principal();
        for (template, expected) in [
            ("{subject}", Some("0190")),
            ("{username}", Some("alice")),
            ("{name}", Some("%C3%85lice, %0D%0AX-Admin: 1 100%25")),
            ("{roles}", Some("a%2Cb,c")),
            ("{scopes}", Some("items:read orders")),
            ("{method}", Some("bearer")),
            ("{attributes.tenant}", Some("t1")),
            ("{attributes.n}", Some("7")),
            ("{attributes.deep.er}", Some("1,x%2Cy,true")),
            ("{claims.admin}", Some("false")),
            ("user-{username}@{attributes.tenant}", Some("user-alice@t1")),
            ("fixed", Some("fixed")),
        ] {
            assert_eq!(render(template, &alice).as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn a_name_may_hold_dots_itself() {
        let members = |value: Value| value.as_object().cloned().expect("an object");
        let claims = members(json!({"https://x.example/org": {"id.no": 1}, "a.b": 2, "a": {"b": 3, "c": 4}}));
        let found = |path: &str| lookup(&claims, &path.split('.').map(str::to_owned).collect::<Vec<_>>()).cloned();
        assert_eq!(found("https://x.example/org.id.no"), Some(json!(1)));
        assert_eq!((found("a.b"), found("a.c"), found("a.d")), (Some(json!(2)), Some(json!(4)), None));
    }

    #[test]
    fn what_is_absent_sets_no_header() {
        let alice = principal();
        for template in [
            "{email}",
            "{issuer}",
            "{session}",
            "{key}",
            "{claims.none}",
            "{claims.empty}",
            "{claims.list}",
            "{claims.o}",
            "{claims.missing}",
            "{attributes.tenant.x}",
            "{attributes.deep}",
            "x-{email}",
            "{username}{email}",
            "",
        ] {
            assert_eq!(render(template, &alice), None, "{template}");
        }
        let nobody = Principal { roles: Vec::new(), scopes: ScopeSet::default(), username: Some(String::new()), ..alice };
        for template in ["{roles}", "{scopes}", "{username}"] {
            assert_eq!(render(template, &nobody), None, "{template}");
        }
    }

    #[test]
    fn another_issuers_names_cannot_pass_for_ours() {
        let key = KeyId::generate(&SystemEntropy);
        let other = Principal { issuer: Issuer::External("supabase".into()), key: Some(key.clone()), ..principal() };
        assert_eq!(render("{subject}", &other).as_deref(), Some("supabase:0190"));
        assert_eq!(render("{username}", &other).as_deref(), Some("supabase:alice"));
        assert_eq!(render("{issuer}", &other).as_deref(), Some("supabase"));
        assert_eq!(render("{key}", &other).as_deref(), Some(key.as_str()));
    }

    #[test]
    fn templates_that_cannot_work_are_refused() {
        for text in
            ["{", "}", "{a", "a}", "{}", "{user}", "{claims}", "{claims.}", "{claims..a}", "{{username}}", "ä", "a\r\nb: c"]
        {
            assert!(Template::parse(text).is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_value_can_break_out_of_its_header(name: String, role: String, claim: String) {
            let somebody = Principal {
                full_name: Some(name.clone()),
                roles: vec![role.clone()],
                claims: [("x".to_owned(), Value::String(claim))].into_iter().collect(),
                ..principal()
            };
            for template in ["{name}", "{roles}", "{claims.x}"] {
                let value = render(template, &somebody).unwrap_or_default();
                assert!(value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)), "{value:?}");
            }
            assert!(!render("{roles}", &somebody).unwrap_or_default().contains(','));
            let back = percent_encoding::percent_decode_str(&render("{name}", &somebody).unwrap_or_default()).decode_utf8_lossy().into_owned();
            assert_eq!(back, name);
        }
    }
}
