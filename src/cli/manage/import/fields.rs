//! What a line may say of an account: the same names in every format, as text or, in JSON, as what it is.

use serde_json::{Map, Value};

use super::super::user::words;
use crate::accounts::admin::ImportedUser;
use crate::credential::strict_json;
use crate::domain::{ScopeSet, SecretString};

/// The names that are known.
const NAMES: [&str; 12] = [
    "username",
    "password_hash",
    "email",
    "email_verified",
    "full_name",
    "roles",
    "scopes",
    "attributes",
    "disabled",
    "is_active",
    "service",
    "attributes.NAME",
];
/// What applications call the hash, beside `password_hash`: Django, many a tutorial, Supabase. What stands there is a hash of a known
/// format, or refused.
const HASHES: [&str; 4] = ["password_hash", "password", "hashed_password", "encrypted_password"];
/// What would hold a password in plain text.
const PLAIN: [&str; 2] = ["plaintext", "secret"];
/// Before the name of one attribute.
const ATTRIBUTE: &str = "attributes.";

/// Whether a column or member is one that is read; why not, else.
pub(super) fn is_known(name: &str) -> Result<(), String> {
    let is_attribute = name.strip_prefix(ATTRIBUTE).is_some_and(|name| !name.is_empty());
    if is_attribute || NAMES.contains(&name) || HASHES.contains(&name) {
        return Ok(());
    }
    if PLAIN.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("passwords in plain text are not taken: put their hashes into `password_hash`".to_owned());
    }
    let all = NAMES.join(", ");
    // A file without a header has a hash there.
    let is_plain = name.len() <= 32 && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c));
    Err(if is_plain {
        format!("`{name}` is not known: there are {all}")
    } else {
        format!("its name is not known: there are {all}")
    })
}

/// The account that `map`, on line `line`, tells of. Errors never show a value.
pub(super) fn account(line: u64, mut map: Map<String, Value>) -> Result<ImportedUser, String> {
    for name in map.keys() {
        is_known(name)?;
    }
    let mut attributes = match map.remove("attributes") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(attributes)) => attributes,
        Some(Value::String(text)) => strict_json::object(text.as_bytes()).ok_or(NO_ATTRIBUTES)?,
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => return Err(NO_ATTRIBUTES.to_owned()),
    };
    for (name, value) in &map {
        if let Some(name) = name.strip_prefix(ATTRIBUTE) {
            attributes.insert(name.to_owned(), value.clone());
        }
    }
    attributes.retain(|_, value| !value.is_null());
    let disabled = match (flag(&map, "disabled")?, flag(&map, "is_active")?) {
        (None, active) => !active.unwrap_or(true),
        (Some(disabled), Some(active)) if disabled == active => {
            return Err("`disabled` and `is_active` contradict each other".to_owned());
        }
        (Some(disabled), _) => disabled,
    };
    Ok(ImportedUser {
        line,
        username: text(&map, "username")?.ok_or("there is no `username`")?,
        email: text(&map, "email")?,
        // Who imports vouches for the addresses, unless the file knows better.
        email_verified: flag(&map, "email_verified")?.unwrap_or(true),
        full_name: text(&map, "full_name")?,
        roles: list(&map, "roles")?,
        scopes: scopes(&list(&map, "scopes")?.unwrap_or_default())?,
        attributes,
        disabled,
        service: flag(&map, "service")?.unwrap_or(false),
        password_hash: hash(&map)?,
    })
}

const NO_ATTRIBUTES: &str = "`attributes` is a JSON object, such as {\"tenant\": \"a1\"}";

/// By whichever of its names; by one only.
fn hash(map: &Map<String, Value>) -> Result<Option<SecretString>, String> {
    let mut found = None;
    for name in HASHES {
        let Some(hash) = text(map, name)? else { continue };
        if found.replace(hash.into()).is_some() {
            return Err("the password's hash is there under two names: leave one of them away".to_owned());
        }
    }
    Ok(found)
}

fn text(map: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(format!("`{name}` is a text")),
    }
}

fn flag(map: &Map<String, Value>, name: &str) -> Result<Option<bool>, String> {
    let wrong = || format!("`{name}` is true or false");
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "true" | "t" | "1" | "yes" => Ok(Some(true)),
            "false" | "f" | "0" | "no" => Ok(Some(false)),
            _ => Err(wrong()),
        },
        Some(Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(wrong()),
    }
}

/// Words in one text, or texts in a list; `None` when there is neither.
fn list(map: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, String> {
    let wrong = || format!("`{name}` is a text with its words, or a list of texts");
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(words(text))),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong));
            texts.collect::<Result<_, _>>().map(Some)
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => Err(wrong()),
    }
}

fn scopes(words: &[String]) -> Result<ScopeSet, String> {
    words.join(" ").parse().map_err(|_| "`scopes` are none: write them as items:read orders".to_owned())
}
