//! Tokens as Supabase, Keycloak and Auth0 make them, and what becomes of their claims.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use portcullis::config::{ClaimPath, ExternalIssuer, IssuerAlgorithm, IssuerKeys};
use portcullis::domain::{Issuer, Principal, Template};
use serde_json::{Value, json};

use crate::forge::{Key, jwks, with};
use crate::{Judge, NOW, claims, file, issuer};

/// Who a token of `key` with `claims` proves, by `rules`.
async fn who(rules: &ExternalIssuer, key: &Key, claims: &Value) -> Arc<Principal> {
    Judge::of(std::slice::from_ref(rules)).judge(&key.token(claims)).await.expect("accepted").principal
}

fn shown(template: &str, principal: &Principal) -> Option<String> {
    Template::parse(template).expect("a template").render(principal)
}

fn roles(map: &[(&str, &str)]) -> BTreeMap<String, String> {
    map.iter().map(|(theirs, ours)| ((*theirs).to_owned(), (*ours).to_owned())).collect()
}

#[tokio::test]
async fn supabase() {
    const SECRET: &str = "kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a";
    let ec = Key::new("5f3c", Algorithm::ES256);
    let mut rules = issuer(&[IssuerAlgorithm::Es256], file(&jwks(&[&ec])));
    (rules.issuer, rules.audience) = ("https://xyz.supabase.co/auth/v1".into(), vec!["authenticated".into()]);
    (rules.claims.username, rules.claims.roles) = (ClaimPath::parse("email"), ClaimPath::parse("app_metadata.roles"));
    rules.roles = roles(&[("editor", "user")]);
    let claims = json!({
        "iss": "https://xyz.supabase.co/auth/v1", "sub": "7d9bcd3c-0d0c-4d31-9e0c-6a2b4a2d2a10", "aud": "authenticated",
        "exp": NOW + 3600, "iat": NOW, "email": "ann@example.com", "phone": "", "role": "authenticated", "aal": "aal1",
        "app_metadata": { "provider": "email", "providers": ["email"], "roles": ["editor", "owner"] },
        "user_metadata": { "roles": ["admin"], "email_verified": true }, "amr": [{ "method": "password", "timestamp": NOW }],
        "session_id": "c1a1b2c3-0000-4000-8000-000000000000", "is_anonymous": false,
    });
    let ann = who(&rules, &ec, &claims).await;
    assert_eq!(shown("{subject}", &ann).as_deref(), Some("idp:7d9bcd3c-0d0c-4d31-9e0c-6a2b4a2d2a10"));
    assert_eq!(shown("{username}", &ann).as_deref(), Some("idp:ann@example.com"));
    assert_eq!((shown("{issuer}", &ann).as_deref(), ann.roles.as_slice()), (Some("idp"), ["user".to_owned()].as_slice()));
    assert_eq!((ann.email.as_deref(), ann.scopes.to_string().as_str()), (None, ""), "what a user may write is not believed");
    assert_eq!(shown("{claims.role}", &ann).as_deref(), Some("authenticated"));
    assert_eq!(shown("{claims.app_metadata.provider}", &ann).as_deref(), Some("email"));

    // Projects from before signing keys share a secret, and the role alone may be what counts.
    rules.algorithms = vec![IssuerAlgorithm::Hs256];
    rules.keys = IssuerKeys::Secret(SECRET.into());
    (rules.claims.roles, rules.roles) = (ClaimPath::parse("role"), roles(&[("authenticated", "viewer")]));
    let legacy = Key::secret("any", Algorithm::HS256, SECRET.as_bytes());
    assert_eq!(who(&rules, &legacy, &claims).await.roles, ["viewer"]);
}

#[tokio::test]
async fn keycloak() {
    let rsa = Key::new("FJ86GcF3jTbNLOco4NvZkUCIUmfYCqoqtOQeMfbhNlE", Algorithm::RS256);
    let mut rules = issuer(&[IssuerAlgorithm::Rs256], file(&jwks(&[&rsa])));
    rules.prefix = "kc:".into();
    let claims = with(
        &claims(),
        json!({
            "aud": ["api", "account"], "typ": "Bearer", "azp": "spa", "sid": "0190", "acr": "1", "jti": "x",
            "realm_access": { "roles": ["default-roles-main", "offline_access", "editor"] },
            "resource_access": { "api": { "roles": ["manager"] }, "account": { "roles": ["view-profile"] } },
            "scope": "openid profile items:read items:write email", "allowed-origins": ["https://spa.example"],
        }),
    );
    let ann = who(&rules, &rsa, &claims).await;
    assert_eq!(
        (ann.scopes.to_string().as_str(), ann.roles.as_slice()),
        ("kc:items:read kc:items:write", ["user".to_owned()].as_slice())
    );
    assert_eq!(ann.email.as_deref(), Some("ann@example.com"));
    rules.claims.roles = ClaimPath::parse("resource_access.api.roles");
    rules.roles = roles(&[("manager", "admin"), ("view-profile", "viewer")]);
    assert_eq!(who(&rules, &rsa, &claims).await.roles, ["admin"]);
}

#[tokio::test]
async fn auth0() {
    let rsa = Key::new("NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg", Algorithm::RS256);
    let mut rules = issuer(&[IssuerAlgorithm::Rs256], file(&jwks(&[&rsa])));
    rules.issuer = "https://tenant.eu.auth0.com/".into();
    rules.audience = vec!["https://api.example.com".into()];
    rules.allow = vec!["read:items".parse().expect("a scope"), "write".parse().expect("a scope")];
    (rules.claims.scopes, rules.claims.roles) = (ClaimPath::parse("permissions"), ClaimPath::parse("https://example.com/roles"));
    rules.claims.username = None;
    let claims = json!({
        "iss": "https://tenant.eu.auth0.com/", "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "iat": NOW, "exp": NOW + 86_400,
        "aud": ["https://api.example.com", "https://tenant.eu.auth0.com/userinfo"], "azp": "my_client", "scope": "openid profile",
        "permissions": ["read:items", "write:items", "delete:items", "*"], "https://example.com/roles": ["editor"],
    });
    let ann = who(&rules, &rsa, &claims).await;
    assert_eq!(
        (ann.scopes.to_string().as_str(), ann.roles.as_slice()),
        ("read:items write:items", ["user".to_owned()].as_slice())
    );
    assert_eq!(shown("{subject}", &ann).as_deref(), Some("idp:auth0|5f7c8ec7c33c6c004bbafe82"));
    assert_eq!(shown("{username}", &ann), None);
}

#[tokio::test]
async fn only_allowed_scopes_count_and_never_all_nor_the_gateways_own() {
    let key = Key::new("k", Algorithm::ES256);
    let mut rules = issuer(&[IssuerAlgorithm::Es256], file(&jwks(&[&key])));
    let held = async |rules: &ExternalIssuer, scope: Value| {
        who(rules, &key, &with(&claims(), json!({ "scope": scope }))).await.scopes.to_string()
    };
    let scopes = |all: &[&str]| all.iter().map(|scope| scope.parse().expect("a scope")).collect::<Vec<_>>();
    let wide = json!("* items items:read itemsX other portcullis:admin portcullis:account portcullis");
    for (allow, prefix, expected) in [
        (scopes(&[]), "", ""),
        (scopes(&["items"]), "", "items items:read"),
        (scopes(&["items:read"]), "", "items:read"),
        (scopes(&["items"]), "p:", "p:items p:items:read"),
        (scopes(&["*"]), "", "items items:read itemsX other"),
        (scopes(&["portcullis"]), "", ""),
        (scopes(&["*"]), "p:", "p:items p:items:read p:itemsX p:other p:portcullis p:portcullis:account p:portcullis:admin"),
    ] {
        (rules.allow, rules.prefix) = (allow, prefix.to_owned());
        assert_eq!(held(&rules, wide.clone()).await, expected, "{:?} {prefix}", rules.allow);
    }
    // A prefix can't be completed to what is ours.
    (rules.allow, rules.prefix) = (scopes(&["*"]), "port".to_owned());
    assert_eq!(held(&rules, json!("cullis:admin cullis a")).await, "porta");
    rules.prefix = String::new();
    assert_eq!(held(&rules, json!(["items:read", "a b", "x"])).await, "a b items:read x");
    assert_eq!(held(&rules, json!("a\"b a\\b :x x: é a  b")).await, "a b");
    for scope in [json!(1), json!({ "a": 1 }), json!(["a", 1]), json!(true)] {
        let judge = Judge::of(std::slice::from_ref(&rules));
        judge.refuses("scopes of another type", &key.token(&with(&claims(), json!({ "scope": scope }))), "scopes").await;
    }
}

#[tokio::test]
async fn only_mapped_roles_count_and_bring_no_scopes() {
    let key = Key::new("k", Algorithm::ES256);
    let mut rules = issuer(&[IssuerAlgorithm::Es256], file(&jwks(&[&key])));
    rules.roles = roles(&[("boss", "admin"), ("chief", "admin"), ("Editor", "user")]);
    let with_roles = |value: Value| with(&claims(), json!({ "realm_access": { "roles": value } }));
    for (theirs, ours) in [
        (json!(["admin", "user", "viewer", "editor"]), vec![]),
        (json!(["boss", "chief", "Editor"]), vec!["admin", "user"]),
        (json!("boss"), vec!["admin"]),
        (json!("boss chief"), vec![]),
        (json!([]), vec![]),
    ] {
        let ann = who(&rules, &key, &with_roles(theirs.clone())).await;
        assert_eq!(ann.roles, ours, "{theirs}");
        assert_eq!(ann.scopes.to_string(), "items:read", "{theirs}");
    }
    let judge = Judge::of(std::slice::from_ref(&rules));
    judge.refuses("roles of another type", &key.token(&with_roles(json!({ "boss": true }))), "roles").await;
}

#[tokio::test]
async fn a_trusted_issuer_names_its_users_itself_and_they_count_apart_all_the_same() {
    let key = Key::new("k", Algorithm::ES256);
    let mut rules = issuer(&[IssuerAlgorithm::Es256], file(&jwks(&[&key])));
    let ann = who(&rules, &key, &claims()).await;
    assert_eq!((shown("{subject}", &ann).as_deref(), shown("{username}", &ann).as_deref()), (Some("idp:f3a9"), Some("idp:ann")));
    rules.trust_subject = true;
    let ann = who(&rules, &key, &claims()).await;
    assert_eq!((shown("{subject}", &ann).as_deref(), shown("{username}", &ann).as_deref()), (Some("f3a9"), Some("ann")));
    assert_eq!((shown("{issuer}", &ann).as_deref(), ann.id().as_str()), (Some("idp"), "idp:f3a9"));
    assert_eq!(ann.issuer, Issuer::Trusted("idp".into()));
}

#[tokio::test]
async fn who_has_no_name_is_not_called_like_all_others_without_one() {
    let key = Key::new("k", Algorithm::ES256);
    let mut rules = issuer(&[IssuerAlgorithm::Es256], file(&jwks(&[&key])));
    for trusted in [false, true] {
        rules.trust_subject = trusted;
        for name in [json!(""), json!(null)] {
            let somebody = who(&rules, &key, &with(&claims(), json!({ "preferred_username": name }))).await;
            assert_eq!((&somebody.username, shown("{username}", &somebody)), (&None, None), "{name} {trusted}");
        }
    }
    let judge = Judge::of(std::slice::from_ref(&rules));
    judge.refuses("of another type", &key.token(&with(&claims(), json!({ "preferred_username": 7 }))), "username").await;
}

#[tokio::test]
async fn what_nobody_maps_refuses_no_token_whatever_it_holds() {
    let key = Key::new("k", Algorithm::ES256);
    let rules = issuer(&[IssuerAlgorithm::Es256], file(&jwks(&[&key])));
    for odd in ["null", "7", "true", "[\"Ann\"]", "{\"first\":\"Ann\"}"] {
        let claims = with(&claims(), json!({ "name": null, "email": null })).to_string();
        let claims = claims.replacen('{', &format!("{{\"name\":{odd},\"email\":{odd},"), 1);
        let token = key.sign_text(&key.header().to_string(), &claims);
        let ann = Judge::of(std::slice::from_ref(&rules)).judge(&token).await.expect(odd).principal;
        assert_eq!((&ann.full_name, &ann.email), (&None, &None), "{odd}");
    }
}

#[tokio::test]
async fn an_email_counts_where_the_issuer_verified_it() {
    let key = Key::new("k", Algorithm::ES256);
    let rules = issuer(&[IssuerAlgorithm::Es256], file(&jwks(&[&key])));
    for verified in [json!(null), json!(false), json!("true"), json!(1)] {
        let ann = who(&rules, &key, &with(&claims(), json!({ "email_verified": verified }))).await;
        assert_eq!(ann.email, None, "{verified}");
    }
    // What two readers take for two people's is nobody's.
    for odd in [
        "a@evil.example@corp.example",
        "@corp.example",
        "ann@",
        "ann",
        "",
        "a@b.example,root@b.example",
        "a @b.example",
        "a@b\r\nc",
    ] {
        let ann = who(&rules, &key, &with(&claims(), json!({ "email": odd }))).await;
        assert_eq!(ann.email, None, "{odd}");
    }
}
