//! The OpenAPI document (OpenAPI 3.1), made of the handlers' own types.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::path::Paths;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{EndpointState, account, admin, discovery, is_on, keys, login, logout, mailed, oauth, password, register, sessions};
use crate::config::Config;

/// Every endpoint with its types. A handler that is missing here fails `tests/endpoints`.
#[derive(OpenApi)]
#[openapi(
    paths(
        login::login,
        login::refresh,
        logout::logout,
        oauth::token,
        oauth::revoke,
        oauth::introspect,
        account::me,
        account::change,
        account::replace,
        password::change,
        password::ask_reset,
        mailed::reset_page,
        mailed::reset,
        mailed::email_page,
        mailed::confirm,
        register::register,
        keys::list,
        keys::create,
        keys::revoke,
        sessions::list,
        sessions::end,
        admin::users::list,
        admin::users::create,
        admin::users::show,
        admin::users::change,
        admin::users::remove,
        admin::sessions::list,
        admin::sessions::end,
        admin::sessions::end_of_user,
        admin::keys::list,
        admin::keys::create,
        admin::keys::revoke,
        admin::clients::list,
        admin::clients::create,
        admin::clients::remove,
        admin::audit::list,
        discovery::jwks,
        discovery::metadata,
        discovery::openid,
        document
    ),
    security(("bearer" = []), ("api_key" = []))
)]
struct Endpoints;

/// Where the document is, below the prefix.
pub(super) const DOCUMENT: &str = "/openapi.json";

/// The description of these endpoints.
#[utoipa::path(
    get, path = "/openapi.json", tag = "discovery", operation_id = "openapi", security(()),
    responses((status = 200, description = "An OpenAPI document.", body = serde_json::Value))
)]
pub(super) async fn document(State(state): State<Arc<EndpointState>>) -> Json<Document> {
    Json(describe(&state.config))
}

/// The document for `config`: with its prefix and its names.
fn describe(config: &Config) -> Document {
    let mut document = Endpoints::openapi();
    Named(config).modify(&mut document);
    document
}

struct Named<'a>(&'a Config);

impl Modify for Named<'_> {
    fn modify(&self, document: &mut Document) {
        let prefix = &self.0.auth.prefix;
        let placed = |path: String| if path.starts_with("/.well-known/") { path } else { format!("{prefix}{path}") };
        let mut paths = Paths::new();
        paths.paths = std::mem::take(&mut document.paths.paths)
            .into_iter()
            .filter(|(path, _)| is_on(path, self.0))
            .map(|(path, item)| (placed(path), item))
            .collect();
        document.paths = paths;
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let api_key = ApiKey::Header(ApiKeyValue::new(&self.0.api_keys.header));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("client", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build()));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("api_key", SecurityScheme::ApiKey(api_key));
    }
}
