//! Rows as records.

use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize, de::IntoDeserializer};
use sqlx::Row;

use super::{DbRow, Outcome};
use crate::domain::{
    ApiKeyRecord, AuditEvent, AuditKind, ClientRecord, Entry, Hash256, MailPurpose, MailedToken, Revoked, SecretString,
    SessionRecord, Timestamp, User,
};
use crate::store::{Fault, StoreError};

/// A JSON column.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Outcome<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()).into())
}

pub(super) fn user(row: &DbRow) -> Outcome<User> {
    Ok(User {
        id: parsed(row, "id")?,
        username: row.try_get("username")?,
        email: row.try_get("email")?,
        email_verified: row.try_get("email_verified")?,
        full_name: row.try_get("full_name")?,
        roles: from_json(row, "roles")?,
        scopes: parsed(row, "scopes")?,
        attributes: from_json(row, "attributes")?,
        disabled: row.try_get("disabled")?,
        service: row.try_get("service")?,
        generation: row.try_get("generation")?,
        password: row.try_get::<Option<String>, _>("password")?.map(SecretString::from),
        created_at: time(row, "created_at")?,
    })
}

/// The roles of a user's row.
pub(super) fn roles(row: &DbRow) -> Outcome<Vec<String>> {
    from_json(row, "roles")
}

pub(super) fn session(row: &DbRow) -> Outcome<SessionRecord> {
    Ok(SessionRecord {
        id: parsed(row, "id")?,
        user: parsed(row, "user_id")?,
        client_id: row.try_get("client_id")?,
        granted: maybe_parsed(row, "granted")?,
        device: row.try_get("device")?,
        address: row.try_get("address")?,
        created_at: time(row, "created_at")?,
        used_at: time(row, "used_at")?,
        expires_at: time(row, "expires_at")?,
        ended_at: maybe_time(row, "ended_at")?,
    })
}

pub(super) fn key(row: &DbRow) -> Outcome<ApiKeyRecord> {
    Ok(ApiKeyRecord {
        id: parsed(row, "key_id")?,
        hash: hash(row, "key_hash")?.ok_or_else(|| Fault::unreadable("key_hash"))?,
        owner: parsed(row, "key_owner")?,
        name: row.try_get("key_name")?,
        scopes: parsed(row, "key_scopes")?,
        allowed_cidrs: from_json(row, "key_allowed_cidrs")?,
        rate_limit: maybe_parsed(row, "key_rate_limit")?,
        created_at: time(row, "key_created_at")?,
        expires_at: maybe_time(row, "key_expires_at")?,
        used_at: maybe_time(row, "key_used_at")?,
        revoked_at: maybe_time(row, "key_revoked_at")?,
    })
}

pub(super) fn client(row: &DbRow) -> Outcome<ClientRecord> {
    Ok(ClientRecord {
        id: parsed(row, "id")?,
        name: row.try_get("name")?,
        secret: hash(row, "secret")?,
        grants: from_json(row, "grants")?,
        scopes: parsed(row, "scopes")?,
        redirect_uris: from_json(row, "redirect_uris")?,
        generation: row.try_get("generation")?,
        created_at: time(row, "created_at")?,
    })
}

pub(super) fn mailed(row: &DbRow) -> Outcome<MailedToken> {
    let purpose: StrDeserializer<'_, ValueError> = row.try_get::<&str, _>("purpose")?.into_deserializer();
    Ok(MailedToken {
        hash: hash(row, "hash")?.ok_or_else(|| Fault::unreadable("hash"))?,
        user: parsed(row, "user_id")?,
        purpose: MailPurpose::deserialize(purpose).map_err(|_| Fault::unreadable("purpose"))?,
        email: row.try_get("email")?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
    })
}

/// A page of the log of revocations, in its order.
pub(super) fn entries(page: &str) -> Outcome<Vec<Entry>> {
    let mut entries = page.split_terminator(';').map(entry).collect::<Outcome<Vec<Entry>>>()?;
    // No database promises to put a text together in the order of its rows.
    entries.sort_by_key(|entry| entry.seq);
    Ok(entries)
}

fn entry(text: &str) -> Outcome<Entry> {
    fn read<T: FromStr>(text: &str, column: &str) -> Outcome<T> {
        text.parse().map_err(|_| Fault::unreadable(column))
    }
    let mut fields = text.split(',');
    let mut next = || fields.next().unwrap_or_default();
    let (seq, kind, id, below, until) = (next(), next(), next(), next(), next());
    let what = match kind {
        "token" => Revoked::Token { id: read(id, "id")? },
        "session" => Revoked::Session { id: read(id, "id")? },
        "generation" => Revoked::Generation { subject: read(id, "id")?, below: read(below, "below")? },
        "api_key" => Revoked::ApiKey { id: read(id, "id")? },
        _ => return Err(Fault::unreadable("kind")),
    };
    let until = Timestamp::from_millis(read(until, "expires_at")?);
    Ok(Entry { seq: read(seq, "seq")?, what, until })
}

/// `None` for a kind of event that a later release wrote.
pub(super) fn event(row: &DbRow) -> Outcome<Option<AuditEvent>> {
    let kind: StrDeserializer<'_, ValueError> = row.try_get::<&str, _>("kind")?.into_deserializer();
    let Ok(kind) = AuditKind::deserialize(kind) else { return Ok(None) };
    Ok(Some(AuditEvent {
        at: time(row, "at")?,
        kind,
        actor: row.try_get("actor")?,
        subject: row.try_get("subject")?,
        address: row.try_get("address")?,
        request_id: row.try_get("request_id")?,
        detail: row.try_get("detail")?,
    }))
}

/// A column whose text is an id, scopes or a rate.
pub(super) fn parsed<T: FromStr>(row: &DbRow, column: &str) -> Outcome<T> {
    row.try_get::<&str, _>(column)?.parse().map_err(|_| Fault::unreadable(column))
}

fn maybe_parsed<T: FromStr>(row: &DbRow, column: &str) -> Outcome<Option<T>> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(str::parse).transpose().map_err(|_| Fault::unreadable(column))
}

pub(super) fn time(row: &DbRow, column: &str) -> Outcome<Timestamp> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

pub(super) fn maybe_time(row: &DbRow, column: &str) -> Outcome<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

pub(super) fn hash(row: &DbRow, column: &str) -> Outcome<Option<Hash256>> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    bytes.map(|bytes| bytes.try_into().map(Hash256::from_bytes).map_err(|_| Fault::unreadable(column))).transpose()
}

fn from_json<T: DeserializeOwned>(row: &DbRow, column: &str) -> Outcome<T> {
    serde_json::from_str(row.try_get(column)?).map_err(|_| Fault::unreadable(column))
}
