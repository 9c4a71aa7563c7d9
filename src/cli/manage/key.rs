//! `key …`

use serde_json::{Value, json};

use super::super::Failure;
use super::super::args::{Format, Key, KeyCreate};
use super::super::output::{json, list, put};
use super::user::scopes;
use super::{name_of, with_admin};
use crate::accounts::admin::NewKey;
use crate::domain::ApiKeyRecord;

pub(super) fn run(command: Key) -> Result<(), Failure> {
    match command {
        Key::Create(args) => create(args),
        Key::List(args) => with_admin(&args.config, async |admin| {
            let mut keys = Vec::new();
            for key in admin.keys(None).await? {
                let owner = name_of(admin, key.owner).await?;
                keys.push(shown(&key, owner.as_deref()));
            }
            list(
                args.format.format,
                &keys,
                &[
                    ("ID", "id"),
                    ("NAME", "name"),
                    ("OWNER", "owner"),
                    ("SCOPES", "scopes"),
                    ("EXPIRES", "expires_at"),
                    ("LAST USED", "last_used_at"),
                    ("REVOKED", "revoked_at"),
                ],
            )
        }),
        Key::Revoke(args) => {
            let id = args.id.parse().map_err(|_| {
                // A whole key may have been pasted: it is not repeated.
                Failure::wrong("that is no key id: it is the 26 characters behind `ptc_`, and `portcullis key list` shows it")
            })?;
            with_admin(&args.config, async |admin| {
                admin.revoke_key(&id).await?;
                put(&format!("{id} is revoked\n"))
            })
        }
    }
}

fn create(args: KeyCreate) -> Result<(), Failure> {
    let new = NewKey {
        owner: args.owner,
        name: args.name,
        scopes: args.scopes.as_deref().map(scopes).transpose()?,
        expires_in: args.expires_in,
        allow: args.allow,
    };
    with_admin(&args.config, async |admin| {
        let created = admin.create_key(new).await?;
        match args.format.format {
            Format::Text => put(&format!("{}\n", created.key.expose())),
            Format::Json => {
                let owner = name_of(admin, created.record.owner).await?;
                let mut object = shown(&created.record, owner.as_deref());
                if let Some(members) = object.as_object_mut() {
                    members.insert("key".to_owned(), created.key.expose().into());
                }
                json(&object)
            }
        }
    })
}

/// What is shown of a key: never its hash.
fn shown(key: &ApiKeyRecord, owner: Option<&str>) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "owner": owner,
        "owner_id": key.owner,
        "scopes": key.scopes,
        "allowed_cidrs": key.allowed_cidrs,
        "created_at": key.created_at.to_string(),
        "expires_at": key.expires_at.map(|at| at.to_string()),
        "last_used_at": key.used_at.map(|at| at.to_string()),
        "revoked_at": key.revoked_at.map(|at| at.to_string()),
    })
}
