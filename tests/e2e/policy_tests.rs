//! Policy tests hold a running gateway to what they say.

use crate::echo::echo;
use crate::gateway::{Gateway, Setup, portcullis_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_policy_test_refuses_a_reload_and_a_start() {
    let backend = echo().await;
    let route = |auth: &str| {
        format!(
            "version = 1\n[[route]]\nname = \"app\"\npath = \"/app\"\nbackend = \"http://{backend}\"\nauth = \"{auth}\"\n\
             [[test]]\nrequest = \"GET /app\"\nexpect = 401\n"
        )
    };
    let gateway = Gateway::start(Setup::routes(route("required").trim_start_matches("version = 1\n"))).await;
    assert_eq!(gateway.get("/app").await.status, 401);
    let file = gateway.own_folder().join("routes/test.toml");
    std::fs::write(&file, route("none")).expect("written");
    gateway.signal("HUP");
    let refused = || async { gateway.metrics().await.contains("portcullis_config_reload_total{outcome=\"error\"} 1") };
    gateway.until("the reload is refused", refused).await;
    assert_eq!(gateway.get("/app").await.status, 401, "the old policy stays");
    let log = gateway.log();
    for told in ["the reload is refused", "policy test failed: expected 401, got allow: GET /app as anonymous", "auth = \"none\""]
    {
        assert!(log.contains(told), "{told}: {log}");
    }
    let failed = log.lines().find(|line| line.contains("policy test failed")).expect("checked above");
    assert!(failed.contains("routes/test.toml:") && !failed.contains("\\n"), "a line of its own, with its place: {failed}");
    let start = portcullis_in(gateway.own_folder(), &["run"], "");
    assert_eq!(start.status.code(), Some(1), "{}", String::from_utf8_lossy(&start.stderr));
    for (command, code) in [("check", 1), ("test", 1), ("routes", 0)] {
        assert_eq!(portcullis_in(gateway.own_folder(), &[command], "").status.code(), Some(code), "{command}");
    }
    std::fs::write(&file, route("required")).expect("written");
    gateway.signal("HUP");
    let done = || async { gateway.metrics().await.contains("portcullis_config_reload_total{outcome=\"ok\"} 1") };
    gateway.until("the good one is taken", done).await;
}
