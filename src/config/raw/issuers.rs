//! `[[issuers]]`: whose tokens are accepted beside the gateway's own.

use crate::config::schema::{At, section};
use crate::config::values::{Secret, Wait};
use crate::config::wrapped::Named;

section! {
    /// `[[issuers]]`
    pub(crate) struct Issuer {
        /// Its name for the backend.
        _name as "name": Option<String> = "",
        /// The `iss` of its tokens.
        _iss as "issuer": Option<String> = "",
        /// The `aud` of its tokens.
        _audience as "audience": Option<Vec<At<String>>> = "",
        /// What its tokens are signed with.
        _algorithms as "algorithms": Option<Vec<At<String>>> = "",
        /// The `typ` of its tokens.
        _typ as "typ": Option<Vec<At<String>>> = "",
        /// How long its tokens may live.
        _max_lifetime as "max_lifetime": Option<Wait> = "",
        /// Where its keys are.
        _jwks_url as "jwks_url": Option<String> = "",
        /// Or a file with them.
        _jwks_file as "jwks_file": Option<String> = "",
        /// Or whether its metadata says where.
        _discovery as "discovery": Option<bool> = "",
        /// Or the key of HS256.
        _secret as "secret": Option<Secret> = "",
        /// Which claims are the username, the scopes and the roles.
        _claims as "claims": Option<IssuerClaims> = "",
        /// Which of its scopes count.
        _scopes as "scopes": Option<IssuerScopes> = "",
        /// Which of its roles count.
        _roles as "roles": Option<IssuerRoles> = "",
        /// Whether its subjects are passed on as they are.
        _trust_subject as "trust_subject": Option<bool> = "",
    }
}

section! {
    /// `[issuers].claims`
    pub(crate) struct IssuerClaims {
        /// The username.
        _username as "username": Option<String> = "",
        /// The scopes.
        _scopes as "scopes": Option<String> = "",
        /// The roles.
        _roles as "roles": Option<String> = "",
    }
}

section! {
    /// `[issuers].scopes`
    pub(crate) struct IssuerScopes {
        /// Those that count.
        _allow as "allow": Option<Vec<At<String>>> = "",
        /// What is put before each.
        _prefix as "prefix": Option<String> = "",
    }
}

section! {
    /// `[issuers].roles`
    pub(crate) struct IssuerRoles {
        /// Theirs to ours.
        _map as "map": Option<Vec<Named<String>>> = "",
    }
}
