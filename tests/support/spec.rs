//! A route that says nothing of its own, for tests to change.

use std::sync::Arc;

use portcullis::domain::{CredentialKinds, IdentityTable};
use portcullis::policy::{AllowInPath, AuthMode, Case, HostRewrite, Place, RouteCors, RouteSpec, TrailingSlash};

/// `path` with a credential, leading nowhere.
pub(crate) fn spec(name: &str, path: &str) -> RouteSpec {
    RouteSpec {
        name: name.into(),
        place: Place { file: "routes/test.toml".into(), line: 1, column: 1 },
        hosts: Vec::new(),
        path: path.into(),
        methods: None,
        backend: None,
        auth: AuthMode::Required,
        credentials: CredentialKinds::ALL,
        scopes: Vec::new(),
        any_scopes: Vec::new(),
        roles: Vec::new(),
        conditions: Vec::new(),
        trailing_slash: TrailingSlash::Either,
        case: Case::Sensitive,
        allow_in_path: AllowInPath::default(),
        strip_prefix: String::new(),
        add_prefix: String::new(),
        host: HostRewrite::Preserve,
        request_headers: Vec::new(),
        response_headers: Vec::new(),
        identity: Arc::new(IdentityTable::x_auth()),
        forward_credential: false,
        timeout: None,
        max_body: None,
        stream_expiry: portcullis::policy::StreamExpiry::Session,
        enforce: true,
        rate_limit: None,
        cors: RouteCors::None,
    }
}
