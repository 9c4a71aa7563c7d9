//! `key …`

use serde_json::{Value, json};

use super::super::Failure;
use super::super::args::{Format, Key, KeyCreate};
use super::super::output::{json, list, put, tell};
use super::super::password;
use super::user::scopes;
use super::{name_of, with_admin};
use crate::accounts::admin::NewKey;
use crate::credential::ImportedKey;
use crate::domain::ApiKeyRecord;
use crate::domain::secret::ExposeSecret as _;

pub(super) fn run(command: Key) -> Result<(), Failure> {
    match command {
        Key::Create(args) => create(&args),
        Key::Import(args) => import(&args),
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
                    ("LIMIT", "rate_limit"),
                    ("EXPIRES", "expires_at"),
                    ("LAST USED", "last_used_at"),
                    ("REVOKED", "revoked_at"),
                ],
            )
        }),
        Key::Revoke(args) => {
            let id = args.id.parse().map_err(|_| {
                // A whole key may have been pasted: it is not repeated.
                Failure::wrong(
                    "that is no key id: it is the 26 characters behind `ptc_`, or what `key import` printed; `portcullis key list` shows it",
                )
            })?;
            with_admin(&args.config, async |admin| {
                admin.revoke_key(&id).await?;
                put(&format!("{id} is revoked\n"))
            })
        }
    }
}

fn wanted(args: &KeyCreate) -> Result<NewKey, Failure> {
    Ok(NewKey {
        owner: args.owner.clone(),
        name: args.name.clone(),
        scopes: args.scopes.as_deref().map(scopes).transpose()?,
        expires_in: args.expires_in,
        allow: args.allow.clone(),
        rate_limit: args.rate_limit,
    })
}

fn import(args: &KeyCreate) -> Result<(), Failure> {
    let new = wanted(args)?;
    let key = ImportedKey::parse(password::secret("The key: ", "key")?.expose_secret().as_bytes()).map_err(Failure::wrong)?;
    if key.is_weak() {
        tell(
            "warning: this key holds less than random keys do, and only a hash protects it: replace it with `portcullis key create`\n",
        );
    }
    with_admin(&args.config, async |admin| {
        let record = admin.import_key(new, &key).await?;
        match args.format.format {
            Format::Text => put(&format!("{}\n", record.id)),
            Format::Json => {
                let owner = name_of(admin, record.owner).await?;
                json(&shown(&record, owner.as_deref()))
            }
        }
    })
}

fn create(args: &KeyCreate) -> Result<(), Failure> {
    let new = wanted(args)?;
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
        "rate_limit": key.rate_limit.map(|rate| rate.to_string()),
        "created_at": key.created_at.to_string(),
        "expires_at": key.expires_at.map(|at| at.to_string()),
        "last_used_at": key.used_at.map(|at| at.to_string()),
        "revoked_at": key.revoked_at.map(|at| at.to_string()),
    })
}
