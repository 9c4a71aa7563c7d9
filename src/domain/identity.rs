//! Which headers tell a backend who is calling.

use http::HeaderName;

/// The identity headers of a route: names and templates such as `{username}`, in order. Empty is `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityTable {
    /// Header name and template.
    pub headers: Vec<(HeaderName, String)>,
}

impl IdentityTable {
    /// The `x-auth` preset.
    #[must_use]
    pub fn x_auth() -> Self {
        let headers = [
            ("x-auth-subject", "{subject}"),
            ("x-auth-user", "{username}"),
            ("x-auth-name", "{name}"),
            ("x-auth-email", "{email}"),
            ("x-auth-roles", "{roles}"),
            ("x-auth-scopes", "{scopes}"),
            ("x-auth-method", "{method}"),
            ("x-auth-issuer", "{issuer}"),
            ("x-auth-session", "{session}"),
            ("x-auth-key", "{key}"),
        ];
        Self { headers: headers.map(|(name, template)| (HeaderName::from_static(name), template.to_owned())).into() }
    }
}
