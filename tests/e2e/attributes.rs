//! A user's attributes: set by the operator, asked by routes, told to backends, and true at once everywhere.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::echo::echo;
use crate::gateway::{Gateway, Setup};

async fn gateway() -> Gateway {
    let backend = echo().await;
    Gateway::start(Setup::routes(format!(
        "[defaults]\nbackend = \"http://{backend}\"\nidentity = {{ \"X-Tenant\" = \"{{attributes.tenant}}\" }}\n\
         [[route]]\nname = \"any\"\npath = \"/any\"\n\
         [[route]]\nname = \"tenant\"\npath = \"/tenants/{{tenant}}\"\nwhere = {{ \"attributes.tenant\" = \"{{tenant}}\" }}\n\
         [[route]]\nname = \"group\"\npath = \"/staff\"\nwhere = {{ \"attributes.groups\" = \"staff\" }}\n\
         [[route]]\nname = \"nested\"\npath = \"/nested/{{unit}}\"\nwhere = {{ \"attributes.org.unit\" = \"{{unit}}\" }}\n"
    )))
    .await
}

fn access(tokens: &Value) -> String {
    tokens["access_token"].as_str().expect("a token").to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("claims");
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&payload).expect("JSON")
}

async fn refreshed(gateway: &Gateway, tokens: &Value) -> Value {
    let answer = gateway.post("/auth/refresh", &json!({ "refresh_token": tokens["refresh_token"] })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test]
async fn attributes_are_in_tokens_conditions_and_headers() {
    let gateway = gateway().await;
    gateway.user(
        "ada",
        &[
            "--attribute",
            "tenant=a1",
            "--attribute",
            "groups=dev",
            "--attribute",
            "groups=staff",
            "--attribute",
            "org={\"unit\":\"r&d\"}",
        ],
    );
    gateway.user("bob", &[]);
    let shown: Value = serde_json::from_str(&gateway.cli(&["user", "show", "ada", "--format", "json"], "")).expect("JSON");
    let attributes = json!({ "tenant": "a1", "groups": ["dev", "staff"], "org": { "unit": "r&d" } });
    assert_eq!(shown["attributes"], attributes);
    let tokens = gateway.login("ada").await;
    let token = access(&tokens);
    assert_eq!(claims(&token)["attributes"], attributes);
    assert_eq!(claims(&access(&refreshed(&gateway, &tokens).await))["attributes"], attributes);
    for (path, status) in [
        ("/tenants/a1", 200),
        ("/tenants/a2", 403),
        ("/tenants/A1", 403),
        ("/staff", 200),
        ("/nested/r%26d", 200),
        ("/nested/x", 403),
    ] {
        assert_eq!(gateway.get_as(path, &token).await.status, status, "{path}");
    }
    assert_eq!(gateway.get_as("/any", &token).await.json()["headers"]["x-tenant"], "a1");
    // What is missing is false, and sets no header.
    let bob = access(&gateway.login("bob").await);
    assert_eq!(claims(&bob).get("attributes"), None);
    for path in ["/tenants/a1", "/staff", "/nested/x"] {
        let answer = gateway.get_as(path, &bob).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{path}");
    }
    let seen = gateway.send(gateway.request("GET", "/any").bearer_auth(&bob).header("X-Tenant", "a1")).await.json();
    assert_eq!(seen["headers"].get("x-tenant"), None);
}

#[tokio::test]
async fn a_change_ends_old_tokens_at_once_and_reaches_keys_and_refreshes() {
    let gateway = gateway().await;
    let other = Gateway::start(Setup::routes(gateway.routes()).beside(&gateway)).await;
    gateway.user("ada", &["--attribute", "tenant=a1"]);
    let tokens = gateway.login("ada").await;
    let token = access(&tokens);
    let key = gateway.cli(&["key", "create", "--owner", "ada", "--name", "ci"], "").trim().to_owned();
    let by_key =
        async |gateway: &Gateway, path: &str| gateway.send(gateway.request("GET", path).header("X-API-Key", &key)).await.status;
    for one in [&gateway, &other] {
        assert_eq!(one.get_as("/tenants/a1", &token).await.status, 200);
        assert_eq!((by_key(one, "/tenants/a1").await, by_key(one, "/tenants/a2").await), (200, 403));
    }
    let said = gateway.cli(&["user", "set-attribute", "ada", "tenant=a2"], "");
    assert!(said.contains(r#""tenant":"a2""#), "{said}");
    for one in [&gateway, &other] {
        one.until("the old token is dead", || async { one.get_as("/tenants/a1", &token).await.code() == "invalid_token" }).await;
        one.until("the key has the new tenant", || async { by_key(one, "/tenants/a2").await == 200 }).await;
        assert_eq!(by_key(one, "/tenants/a1").await, 403);
    }
    let tokens = refreshed(&gateway, &tokens).await;
    assert_eq!(claims(&access(&tokens))["attributes"], json!({ "tenant": "a2" }));
    assert_eq!(other.get_as("/tenants/a2", &access(&tokens)).await.status, 200);
    // Removed: nothing holds any more, and the name is gone.
    gateway.cli(&["user", "set-attribute", "ada", "tenant="], "");
    gateway.until("that token is dead too", || async { gateway.get_as("/any", &access(&tokens)).await.status == 401 }).await;
    let tokens = refreshed(&gateway, &tokens).await;
    assert_eq!(gateway.get_as("/tenants/a2", &access(&tokens)).await.status, 403);
    assert_eq!(claims(&access(&tokens)).get("attributes"), None);
    // Saying again what is so ends nothing.
    gateway.cli(&["user", "set-attribute", "ada", "tenant="], "");
    assert_eq!(gateway.get_as("/any", &access(&tokens)).await.status, 200);
}
