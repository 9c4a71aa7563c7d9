//! OAuth clients.

use http::Uri;

use super::check::in_token;
use super::{Admin, AdminError, AdminResult, Fault, of};
use crate::credential::ClientSecret;
use crate::domain::{AuditKind, ClientId, ClientRecord, Grant, ScopeSet};

/// A client to be made.
#[derive(Clone, Debug, Default)]
pub struct NewClient {
    /// What people call it.
    pub name: String,
    /// How it may get tokens; `None` is what suits its kind.
    pub grants: Option<Vec<Grant>>,
    /// What its tokens may do at most; `None` is all that the user may for one that acts for users only, and nothing for one
    /// that acts as itself.
    pub scopes: Option<ScopeSet>,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
    /// Whether it can't keep a secret: a program in a browser or on a phone (RFC 6749 §2.1).
    pub public: bool,
}

/// A client that was made. Its secret is shown once, and known to nobody afterwards.
#[derive(Debug)]
pub struct CreatedClient {
    /// The secret; public clients have none.
    pub secret: Option<ClientSecret>,
    /// What the store keeps of it.
    pub record: ClientRecord,
}

fn invalid<T>(field: &'static str, text: impl Into<String>) -> Result<T, Fault> {
    Err((field, AdminError::Invalid(text.into())))
}

impl Admin {
    /// Makes a client.
    pub async fn create_client(&self, new: NewClient) -> AdminResult<CreatedClient> {
        self.add_client(new, "").await.map_err(|(_, error)| error)
    }

    /// The same; `by` is what the audit log says of the credential beside who acts.
    pub(super) async fn add_client(&self, new: NewClient, by: &str) -> Result<CreatedClient, Fault> {
        let name = new.name;
        if name.is_empty() || name.len() > 64 || name.trim() != name || name.chars().any(char::is_control) {
            return invalid("name", "a client needs a name of 1 to 64 bytes on one line, such as batch-job");
        }
        let grants = grants(new.grants, new.public, &new.redirect_uris)?;
        new.redirect_uris.iter().try_for_each(|uri| redirect_uri(uri))?;
        let scopes = new.scopes.unwrap_or_else(|| {
            let as_itself = grants.contains(&Grant::ClientCredentials);
            if as_itself { ScopeSet::default() } else { "*".parse().unwrap_or_default() }
        });
        in_token("scopes", scopes.to_string().len()).map_err(of("scopes"))?;
        let secret = (!new.public).then(|| ClientSecret::generate(&*self.entropy));
        let now = self.clock.now();
        let record = ClientRecord {
            id: ClientId::generate(now, &*self.entropy),
            name,
            secret: secret.as_ref().map(ClientSecret::hash),
            grants,
            scopes,
            redirect_uris: new.redirect_uris,
            generation: 1,
            created_at: now,
        };
        self.store.create_client(&record).await.map_err(|error| match error.into() {
            AdminError::Taken(_) => {
                let text = format!("there is a client named `{}` already: choose another name", record.name);
                ("name", AdminError::Taken(text))
            }
            other @ (AdminError::Invalid(_) | AdminError::NotFound(_) | AdminError::Unavailable(_)) => ("name", other),
        })?;
        let detail = format!("client {}: scopes: {}{by}", record.name, record.scopes);
        self.done(AuditKind::ClientCreated, record.id.to_string(), detail, Vec::new()).await;
        Ok(CreatedClient { secret, record })
    }

    /// All clients by name.
    pub async fn clients(&self) -> AdminResult<Vec<ClientRecord>> {
        Ok(self.store.clients().await?)
    }

    /// Deletes a client: its own tokens, and the sessions that were opened through it, are dead at once.
    pub async fn delete_client(&self, id: ClientId) -> AdminResult<()> {
        let now = self.clock.now();
        let entries = self.store.delete_client(id, now, self.revoke_until(now)).await?;
        self.done(AuditKind::ClientDeleted, id.to_string(), "client".to_owned(), entries).await;
        Ok(())
    }
}

/// The grants of a client, each once.
fn grants(wanted: Option<Vec<Grant>>, public: bool, redirect_uris: &[String]) -> Result<Vec<Grant>, Fault> {
    let grants: Vec<Grant> = match wanted {
        Some(wanted) => Grant::ALL.into_iter().filter(|grant| wanted.contains(grant)).collect(),
        None if !redirect_uris.is_empty() => vec![Grant::RefreshToken, Grant::AuthorizationCode],
        None if public => vec![Grant::Password, Grant::RefreshToken],
        None => vec![Grant::ClientCredentials],
    };
    if grants.is_empty() {
        return invalid("grants", "a client without a grant gets no token: name one, such as client_credentials");
    }
    if public && grants.contains(&Grant::ClientCredentials) {
        return invalid("grants", "a public client has no secret to act as itself with: leave the grant client_credentials out");
    }
    let codes = grants.contains(&Grant::AuthorizationCode);
    if codes && redirect_uris.is_empty() {
        let text = "the grant authorization_code needs a redirect URI to send codes to, such as https://app.example.com/callback";
        return invalid("redirect_uris", text);
    }
    if !codes && !redirect_uris.is_empty() {
        return invalid(
            "redirect_uris",
            "a redirect URI is for the grant authorization_code: name that among the grants, or no URI",
        );
    }
    Ok(grants)
}

/// An absolute URI without fragment (RFC 6749 §3.1.2), that nobody on the way can read: HTTPS, this machine itself, or a
/// scheme of the program's own (RFC 8252 §7).
fn redirect_uri(text: &str) -> Result<(), Fault> {
    let wrong = |why: &str| invalid("redirect_uris", format!("`{}` is no redirect URI: {why}", text.escape_debug()));
    if text.len() > 2048 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("write at most 2048 characters of ASCII without spaces");
    }
    if text.contains(['#', '*', '\\']) {
        return wrong("it has a fragment, a star or a backslash; each URI is compared as a whole");
    }
    let Some((scheme, rest)) = text.split_once(':') else { return wrong("write a whole URI: https://app.example.com/callback") };
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "http" => {
            let uri = text.parse::<Uri>().ok().filter(|uri| uri.authority().is_some_and(|at| !at.as_str().contains('@')));
            let Some(uri) = uri else { return wrong("write it as https://app.example.com/callback") };
            let host = uri.host().unwrap_or_default();
            let own = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
            if uri.scheme_str() == Some("http") && !own {
                return wrong("codes would travel in the clear: use https, or http on 127.0.0.1");
            }
            Ok(())
        }
        // `javascript:` and the like have no dot: RFC 8252 §7.1 wants a name of one's own, reversed.
        own if own.contains('.') && !rest.is_empty() => Ok(()),
        _ => wrong("use https, or a scheme of the program's own such as com.example.app:/callback"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_leads_where_nobody_listens_in() {
        for good in [
            "https://app.example.com/callback?x=1",
            "http://127.0.0.1:8000/cb",
            "http://[::1]/cb",
            "http://localhost/cb",
            "com.example.app:/cb",
        ] {
            assert!(redirect_uri(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/callback",
            "https://",
            "http://app.example.com/cb",
            "https://a@b/cb",
            "https://a/cb#x",
            "https://*.a/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a/c b",
            "http://localhost.evil.example/cb",
            "http://127.0.0.1.evil.example/",
        ] {
            assert!(redirect_uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn grants_suit_the_kind_of_client() {
        let uri = ["https://a.example/cb".to_owned()];
        assert_eq!(grants(None, false, &[]).expect("grants"), [Grant::ClientCredentials]);
        assert_eq!(grants(None, true, &[]).expect("grants"), [Grant::Password, Grant::RefreshToken]);
        assert_eq!(grants(None, true, &uri).expect("grants"), [Grant::RefreshToken, Grant::AuthorizationCode]);
        let twice = vec![Grant::RefreshToken, Grant::Password, Grant::Password];
        assert_eq!(grants(Some(twice), false, &[]).expect("grants"), [Grant::Password, Grant::RefreshToken]);
        for (wanted, public, uris) in [
            (vec![], false, &[][..]),
            (vec![Grant::ClientCredentials], true, &[]),
            (vec![Grant::AuthorizationCode], false, &[]),
            (vec![Grant::Password], false, &uri),
        ] {
            assert!(grants(Some(wanted.clone()), public, uris).is_err(), "{wanted:?}");
        }
    }
}
