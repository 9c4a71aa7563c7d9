//! `ready`, as a container's health check runs it.

use crate::echo::echo;
use crate::gateway::{Gateway, Setup, portcullis_in};

fn ready(gateway: &Gateway) -> (Option<i32>, String) {
    let output = portcullis_in(gateway.own_folder(), &["ready"], "");
    (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn ready_tells_by_its_exit_code_and_why() {
    let routes = format!("[[route]]\nname = \"all\"\npath = \"/**\"\nbackend = \"http://{}\"\n", echo().await);
    // The secret is known to the gateway and not to the one who asks.
    let setup = Setup::routes(routes)
        .server("drain_delay = \"20s\"")
        .with("[tokens]\nalgorithm = \"HS256\"\nsecret = \"${SIGNING_SECRET}\"\n")
        .env("SIGNING_SECRET", "kQ3vXm0u9s7bYpZr1LwE5tJc8HfGdN2a");
    let mut gateway = Gateway::start(setup).await;
    assert_eq!(ready(&gateway), (Some(0), "ready\n".to_owned()));
    gateway.signal("TERM");
    gateway.until("it is not ready", || async { gateway.admin_status("/readyz").await == Some(503) }).await;
    assert_eq!(ready(&gateway), (Some(1), "error: not ready: draining\n".to_owned()));
    gateway.signal("INT");
    gateway.ended().await;
    let (code, said) = ready(&gateway);
    assert!(code == Some(3) && said.contains("admin_listen"), "{code:?} {said}");
    std::fs::remove_file(gateway.own_folder().join("gateway.toml")).expect("removed");
    let (code, said) = ready(&gateway);
    assert!(code == Some(1) && said.starts_with("error: there is no file"), "{code:?} {said}");
}
