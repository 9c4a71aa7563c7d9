//! Pages for people: without scripts, without anything from elsewhere, and sending nothing about where they were.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::SecretString;
use crate::domain::secret::ExposeSecret as _;
use crate::problem::Refusal;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem}\
                     input,button{font:inherit;padding:.4rem .6rem;width:100%;box-sizing:border-box;margin:.3rem 0 .8rem}\
                     .wrong{color:#a40000}";

/// Nothing but this style, and forms to this host.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy =
        format!("default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The form for a new password; `refused` is why the last one was not taken.
pub(super) fn new_password(token: &SecretString, min_length: usize, refused: Option<Refusal>) -> Response {
    let why = refused
        .as_ref()
        .map_or_else(String::new, |refusal| format!("<p class=\"wrong\" role=\"alert\">{}</p>\n", escaped(&refusal.detail())));
    let form = format!(
        "{why}<form method=\"post\">\n{}<label for=\"new_password\">New password, {min_length} characters at least</label>\n\
         <input id=\"new_password\" name=\"new_password\" type=\"password\" autocomplete=\"new-password\" required autofocus>\n\
         <button>Set the password</button>\n</form>",
        hidden(token)
    );
    let status = refused.as_ref().map_or(StatusCode::OK, Refusal::status);
    page(status, "Set a new password", &form, refused)
}

/// The button that confirms an address.
pub(super) fn confirm_email(token: &SecretString) -> Response {
    let form = format!(
        "<p>Press the button if you gave this address yourself.</p>\n\
         <form method=\"post\">\n{}<button>Confirm the address</button>\n</form>",
        hidden(token)
    );
    page(StatusCode::OK, "Confirm your e-mail address", &form, None)
}

/// What was asked is done.
pub(super) fn done(title: &str, words: &str) -> Response {
    page(StatusCode::OK, title, &format!("<p>{}</p>", escaped(words)), None)
}

/// What was asked is refused.
pub(super) fn refused(refusal: Refusal) -> Response {
    let words = format!("<p class=\"wrong\" role=\"alert\">{}</p>", escaped(&refusal.detail()));
    page(refusal.status(), "That did not work", &words, Some(refusal))
}

fn page(status: StatusCode, title: &str, content: &str, refused: Option<Refusal>) -> Response {
    let title = escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body>\n<h1>{title}</h1>\n{content}\n</body>\n</html>\n"
    );
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        // The address of the page holds the secret.
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut response = (status, headers, html).into_response();
    if let Some(refusal) = refused {
        // For the access log; and it has been said already.
        response.extensions_mut().insert(refusal);
    }
    response
}

fn hidden(token: &SecretString) -> String {
    format!("<input type=\"hidden\" name=\"token\" value=\"{}\">\n", escaped(token.expose_secret()))
}

/// `text` as HTML shows it, in an attribute too.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_in_a_link_is_markup() {
        let page = confirm_email(&SecretString::from("\"><script>alert(1)</script>"));
        let html = axum::body::to_bytes(page.into_body(), 16 * 1024).await.expect("a page");
        let html = String::from_utf8(html.to_vec()).expect("text");
        assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\""), "{html}");
    }
}
