//! `client …`

use serde_json::{Value, json};

use super::super::Failure;
use super::super::args::{Client, ClientCreate, Format};
use super::super::output::{json, list, put};
use super::user::{scopes, words};
use super::with_admin;
use crate::accounts::admin::NewClient;
use crate::domain::{ClientRecord, Grant};

pub(super) fn run(command: Client) -> Result<(), Failure> {
    match command {
        Client::Create(args) => create(&args),
        Client::List(args) => with_admin(&args.config, async |admin| {
            let clients: Vec<Value> = admin.clients().await?.iter().map(shown).collect();
            list(
                args.format.format,
                &clients,
                &[
                    ("ID", "client_id"),
                    ("NAME", "name"),
                    ("PUBLIC", "public"),
                    ("GRANTS", "grants"),
                    ("SCOPES", "scopes"),
                    ("REDIRECT URIS", "redirect_uris"),
                ],
            )
        }),
        Client::Delete(args) => {
            let id = args.id.parse().map_err(|_| {
                // A secret may have been pasted: it is not repeated.
                Failure::wrong("that is no client id: `portcullis client list` shows them")
            })?;
            with_admin(&args.config, async |admin| {
                admin.delete_client(id).await?;
                put(&format!("{id} is deleted\n"))
            })
        }
    }
}

fn create(args: &ClientCreate) -> Result<(), Failure> {
    let new = NewClient {
        name: args.name.clone(),
        grants: args.grants.as_deref().map(grants).transpose()?,
        scopes: args.scopes.as_deref().map(scopes).transpose()?,
        redirect_uris: args.redirect_uris.clone(),
        public: args.public,
    };
    with_admin(&args.config, async |admin| {
        let created = admin.create_client(new).await?;
        let (id, secret) = (created.record.id, created.secret.as_ref().map(crate::credential::ClientSecret::expose));
        match args.format.format {
            Format::Text => {
                let secret = secret.map(|secret| format!("client_secret {secret}\n")).unwrap_or_default();
                put(&format!("client_id     {id}\n{secret}"))
            }
            Format::Json => {
                let mut object = shown(&created.record);
                if let (Some(members), Some(secret)) = (object.as_object_mut(), secret) {
                    members.insert("client_secret".to_owned(), secret.into());
                }
                json(&object)
            }
        }
    })
}

/// Grants by their names, separated by commas or spaces.
fn grants(text: &str) -> Result<Vec<Grant>, Failure> {
    let named = |word: String| {
        Grant::ALL.into_iter().find(|grant| grant.as_str() == word).ok_or_else(|| {
            let all = Grant::ALL.map(Grant::as_str).join(", ");
            Failure::wrong(format!("there is no grant `{}`: take some of {all}", word.escape_debug()))
        })
    };
    words(text).into_iter().map(named).collect()
}

/// What is shown of a client: never its secret's hash.
fn shown(client: &ClientRecord) -> Value {
    json!({
        "client_id": client.id,
        "name": client.name,
        "public": client.secret.is_none(),
        "grants": client.grants,
        "scopes": client.scopes,
        "redirect_uris": client.redirect_uris,
        "created_at": client.created_at.to_string(),
    })
}
