//! Which headers tell a backend who is calling.

use http::HeaderName;

/// The identity headers of a route: names and templates such as `{username}`, in order. Empty is `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityTable {
    /// Header name and template.
    pub headers: Vec<(HeaderName, String)>,
}

impl IdentityTable {
    /// The words for tables that are made already.
    pub const PRESETS: [&'static str; 4] = ["x-auth", "oauth2-proxy", "authelia", "none"];

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
        Self::of(&headers)
    }

    /// The `oauth2-proxy` preset: what that proxy passes to upstreams with `--pass-user-headers`.
    #[must_use]
    pub fn oauth2_proxy() -> Self {
        Self::of(&[
            ("x-forwarded-user", "{subject}"),
            ("x-forwarded-preferred-username", "{username}"),
            ("x-forwarded-email", "{email}"),
            ("x-forwarded-groups", "{roles}"),
        ])
    }

    /// The `authelia` preset.
    #[must_use]
    pub fn authelia() -> Self {
        Self::of(&[
            ("remote-user", "{username}"),
            ("remote-name", "{name}"),
            ("remote-email", "{email}"),
            ("remote-groups", "{roles}"),
        ])
    }

    /// The preset that a word names; `none` is the empty table.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "x-auth" => Self::x_auth(),
            "oauth2-proxy" => Self::oauth2_proxy(),
            "authelia" => Self::authelia(),
            "none" => Self::default(),
            _ => return None,
        })
    }

    fn of(headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, template)| (HeaderName::from_static(name), (*template).to_owned()));
        Self { headers: headers.collect() }
    }
}
