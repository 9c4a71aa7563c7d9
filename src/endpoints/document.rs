//! The OpenAPI document (OpenAPI 3.1), made of the handlers' own types: complete for the configuration in force, and written
//! once for it.

mod complete;
mod refusals;

use axum::Extension;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::OpenApi;

use super::{account, admin, discovery, docs, is_on, keys, login, logout, mailed, oauth, password, register, sessions};
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
        document,
        docs::page
    ),
    // What shared refusals refer to: they do not bring it along.
    components(schemas(oauth::OAuthErrorBody)),
    security(("bearer" = []), ("api_key" = []))
)]
struct Endpoints;

/// Where the document is, below the prefix.
pub(super) const DOCUMENT: &str = "/openapi.json";

/// The document as it is sent.
#[derive(Clone)]
pub(super) struct Written(Bytes);

/// The description of these endpoints.
#[utoipa::path(
    get, path = "/openapi.json", tag = "discovery", operation_id = "openapi", security(()),
    responses((status = 200, description = "An OpenAPI document.", body = serde_json::Value))
)]
pub(super) async fn document(Extension(Written(document)): Extension<Written>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], document).into_response()
}

/// Writes the document for `config`: with its address, prefix, names and scopes.
pub(super) fn written(config: &Config) -> Written {
    let mut document = Endpoints::openapi();
    document.paths.paths.retain(|path, _| is_on(path, config));
    // A document of strings always has a JSON form.
    let mut document = serde_json::to_value(document).unwrap_or_default();
    complete::complete(&mut document, config);
    refusals::add(&mut document, config);
    Written(document.to_string().into())
}
