//! Accounts in people's own hands, with mails that a real server takes.

use serde_json::json;

use crate::gateway::{Answer, Gateway, PASSWORD, Setup, free_address};
use crate::http2::python;
use crate::mailbox::{Mailbox, secret};
use crate::secure::Authority;

const NEW: &str = "an entirely other passphrase";

fn setup(smtp: &str) -> Setup {
    Setup::routes("")
        .with("[login]\nrate_limit = \"1000/1s\"\n[accounts]\nregistration = true\n")
        .with(&format!("[mail]\nsmtp = \"{smtp}\"\nfrom = \"The Gate <gate@example.com>\"\n"))
}

/// Presses the button of the page at `link`, as a browser does.
async fn press(gateway: &Gateway, link: &str, fields: &str) -> Answer {
    let (path, token) = (link.split('?').next().expect("a path"), secret(link));
    let request = gateway.request("POST", path).header("Accept", "text/html,application/xhtml+xml");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    gateway.send(request.body(format!("token={token}{fields}"))).await
}

#[tokio::test]
async fn whoever_registers_confirms_the_address_by_the_mailed_link() {
    let smtp = free_address();
    let mailbox = Mailbox::start(smtp, &[]).await;
    let gateway = Gateway::start(setup(&format!("smtp://{smtp}"))).await;
    let made =
        gateway.post("/auth/register", &json!({"username": "ann", "email": "ann@example.com", "password": PASSWORD})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let mail = mailbox.mail(0).await;
    assert_eq!((&mail["to"], &mail["from"]), (&json!(["ann@example.com"]), &json!("gate@example.com")));
    let fields = &mail["fields"];
    assert_eq!(
        (&fields["subject"], &fields["auto-submitted"]),
        (&json!("Confirm your e-mail address"), &json!("auto-generated"))
    );
    assert!(fields["message-id"].as_str().is_some_and(|id| id.ends_with("@example.com>")), "{fields}");
    let link = mailbox.link(0).await;
    // A mail scanner looks first; nothing is used up by that.
    for _ in 0..2 {
        let page = gateway.get(&link).await;
        assert_eq!((page.status, page.header("content-type").as_str()), (200, "text/html; charset=utf-8"));
        assert!(page.body.contains("<button>Confirm the address</button>"), "{}", page.body);
    }
    let done = press(&gateway, &link, "").await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(press(&gateway, &link, "").await.status, 422);
    let tokens = gateway.login("ANN@example.com").await;
    let me = gateway.get_as("/auth/me", tokens["access_token"].as_str().expect("a token")).await.json();
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("ann@example.com"), &json!(true)));
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("portcullis_mail_total{kind=\"confirm\",outcome=\"sent\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_the_mailed_link_and_strangers_learn_nothing() {
    let smtp = free_address();
    let mailbox = Mailbox::start(smtp, &[]).await;
    let gateway = Gateway::start(setup(&format!("smtp://{smtp}")).env("RUST_LOG", "trace")).await;
    gateway.user("ann", &["--email", "ann@example.com"]);
    let before = gateway.login("ann").await;
    let mut answers = Vec::new();
    for email in ["nobody@example.com", "ann@example.com"] {
        let answer = gateway.post("/auth/password/reset", &json!({ "email": email })).await;
        let mut fields: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        fields.sort();
        answers.push((answer.status, answer.body, fields));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, 202);
    let link = mailbox.link(0).await;
    assert_eq!(mailbox.mail(0).await["to"], json!(["ann@example.com"]));
    let page = gateway.get(&link).await;
    assert!(page.body.contains("name=\"new_password\""), "{}", page.body);
    let weak = press(&gateway, &link, "&new_password=short").await;
    assert_eq!(weak.status, 422, "{}", weak.body);
    let one = json!({"token": secret(&link), "new_password": NEW});
    let two = json!({"token": secret(&link), "new_password": format!("{NEW} 2")});
    let path = "/auth/password/reset/confirm";
    let (one, two) = tokio::join!(gateway.post(path, &one), gateway.post(path, &two));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 422], "{} {}", one.body, two.body);
    assert_eq!(gateway.get_as("/auth/me", before["access_token"].as_str().expect("a token")).await.status, 401);
    assert_eq!(gateway.post("/auth/refresh", &json!({"refresh_token": before["refresh_token"]})).await.status, 401);
    let set = if one.status == 204 { NEW.to_owned() } else { format!("{NEW} 2") };
    assert_eq!(gateway.post("/auth/login", &json!({"username": "ann", "password": set})).await.status, 200);
    assert_eq!(mailbox.mail(1).await["fields"]["subject"], "Your password was changed");
    let log = gateway.log();
    for hidden in [secret(&link), NEW, "nobody@example.com", "Somebody, we hope"] {
        assert!(!log.contains(hidden), "{hidden} in\n{log}");
    }
}

#[tokio::test]
async fn a_mail_server_that_is_away_holds_nobody_up_and_gets_the_mail_later() {
    // Made before the clock of the tries runs.
    tokio::task::spawn_blocking(python).await.expect("Python");
    let smtp = free_address();
    let gateway = Gateway::start(setup(&format!("smtp://{smtp}"))).await;
    gateway.user("ann", &["--email", "ann@example.com"]);
    assert_eq!(gateway.post("/auth/password/reset", &json!({"email": "ann@example.com"})).await.status, 202);
    gateway
        .until("a try has failed", || async {
            gateway.metrics().await.contains("portcullis_mail_total{kind=\"reset\",outcome=\"retried\"}")
        })
        .await;
    let mailbox = Mailbox::start(smtp, &[]).await;
    let link = mailbox.link(0).await;
    let answer = gateway.post("/auth/password/reset/confirm", &json!({"token": secret(&link), "new_password": NEW})).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    let log = gateway.log();
    assert!(log.contains("a mail was not sent; tried again in 2s"), "{log}");
    assert!(!log.contains("ann@example.com") && !log.contains(secret(&link)), "{log}");
}

#[tokio::test]
async fn mail_goes_out_by_starttls_to_a_server_that_is_verified() {
    let (authority, stranger, folder) = (Authority::new(), Authority::new(), tempfile::tempdir().expect("a folder"));
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("ca.pem"), &authority.pem).expect("written");
    let mut servers = Vec::new();
    for (name, signer) in [("good", &authority), ("bad", &stranger)] {
        let leaf = signer.leaf(&["127.0.0.1"]);
        std::fs::write(at(&format!("{name}.pem")), &leaf.pem).expect("written");
        std::fs::write(at(&format!("{name}.key")), leaf.key.serialize_pem()).expect("written");
        let address = free_address();
        let more = [at(&format!("{name}.pem")), at(&format!("{name}.key")), "p@ss".to_owned()];
        servers.push((address, Mailbox::start(address, &more).await));
    }
    for (number, (address, mailbox)) in servers.iter().enumerate() {
        let smtp = format!("smtp://gate:${{SMTP_PASSWORD}}@{address}?tls=required");
        let setup = setup(&smtp).env("SMTP_PASSWORD", "p%40ss").env("SSL_CERT_FILE", &at("ca.pem"));
        let gateway = Gateway::start(setup).await;
        gateway
            .cli_env(&[("SMTP_PASSWORD", "p%40ss")], &["user", "add", "ann", "--email", "ann@example.com", "--password-stdin"]);
        assert_eq!(gateway.post("/auth/password/reset", &json!({"email": "ann@example.com"})).await.status, 202);
        if number == 0 {
            let mail = mailbox.mail(0).await;
            assert_eq!((&mail["tls"], &mail["to"]), (&json!(true), &json!(["ann@example.com"])));
        } else {
            gateway
                .until("TLS has failed", || async {
                    gateway.metrics().await.contains("portcullis_mail_total{kind=\"reset\",outcome=\"retried\"}")
                })
                .await;
            assert_eq!(mailbox.count(), 0);
        }
    }
}
