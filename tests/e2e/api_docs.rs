//! The OpenAPI document and its page, judged by a validator, a fuzzer and a browser that others wrote.

use std::process::Command;

use crate::gateway::{Gateway, PASSWORD, Setup};
use crate::http2::script;

/// Limits that a client which tries everything does not meet.
const WIDE: &str = "[login]\nrate_limit = \"100000/1s\"\naccount_rate_limit = \"100000/1s\"\n\
    [scopes]\n\"items:read\" = \"Read items\"\n[api_keys]\nquery_parameter = \"api_key\"\n\
    [accounts]\nregistration = true\n";

async fn gateway(prefix: &str) -> Gateway {
    let aliases = format!("{{ \"/api/swagger\" = \"{prefix}/docs\" }}");
    let setup = Setup::routes("").with(WIDE).with(&format!("[auth]\nprefix = \"{prefix}\"\naliases = {aliases}"));
    let gateway = Gateway::start(setup).await;
    gateway.user("root", &["--roles", "admin"]);
    gateway
}

/// Where Debian, and others, have Chromium.
fn chromium() -> String {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(|name| {
        let output = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    });
    found.expect("Chromium is installed (Debian: chromium)")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_logs_in_on_the_page_and_calls_an_endpoint() {
    for (prefix, page) in [("/auth", "/auth/docs"), ("/deep/er", "/api/swagger")] {
        let gateway = gateway(prefix).await;
        let key = gateway.cli(&["key", "create", "--owner", "root", "--name", "page"], "").trim().to_owned();
        let arguments = ["root", PASSWORD, &key, prefix, page, &chromium()].map(str::to_owned);
        let last = script("docs_page.py", gateway.address, &arguments).await;
        assert!(last.ends_with("the page holds"), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_valid_and_holds_whatever_is_tried() {
    let gateway = gateway("/auth").await;
    let last = script("openapi_checks.py", gateway.address, &["root".to_owned(), PASSWORD.to_owned()]).await;
    assert!(last.ends_with("the document holds"), "{last}\n{}", gateway.log());
}
