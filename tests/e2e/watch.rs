//! `run --watch`: files that change, come, go, break and are swapped by links.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::echo::echo;
use crate::gateway::{Gateway, Setup};

fn route(path: &str, backend: SocketAddr, more: &str) -> String {
    let name = path.trim_matches('/');
    format!("[[route]]\nname = \"{name}\"\npath = \"{path}\"\nauth = \"none\"\nbackend = \"http://{backend}\"\n{more}\n")
}

fn file(path: &str, backend: SocketAddr) -> String {
    format!("version = 1\n{}", route(path, backend, ""))
}

async fn gateway(setup: Setup) -> Gateway {
    Gateway::start(setup.args(&["--watch"])).await
}

async fn until_status(gateway: &Gateway, path: &str, status: u16) {
    gateway.until(&format!("{path} answers {status}"), || async { gateway.get(path).await.status == status }).await;
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

#[tokio::test]
async fn changed_new_and_deleted_files_count_at_once() {
    let backend = echo().await;
    let gateway = gateway(Setup::routes(route("/a", backend, ""))).await;
    let routes = gateway.own_folder().join("routes");
    write(&routes.join("test.toml"), &file("/b", backend));
    until_status(&gateway, "/b", 200).await;
    assert_eq!(gateway.get("/a").await.status, 404);
    // As editors do it: beside it, then in its place.
    write(&routes.join(".test.toml.swp"), &file("/c", backend));
    std::fs::rename(routes.join(".test.toml.swp"), routes.join("test.toml")).expect("renamed");
    until_status(&gateway, "/c", 200).await;
    write(&routes.join("new.toml"), &file("/new", backend));
    until_status(&gateway, "/new", 200).await;
    std::fs::remove_file(routes.join("new.toml")).expect("removed");
    until_status(&gateway, "/new", 404).await;
    assert_eq!(gateway.get("/c").await.status, 200);

    let config = gateway.own_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&config).expect("gateway.toml");
    write(&config, &format!("{text}\n[routes]\ninclude = [\"routes/*.toml\", \"more/*.toml\"]\n"));
    gateway
        .until("it is read", || async { gateway.log().contains("was reloaded") && gateway.log().contains("more/*.toml") })
        .await;
    std::fs::create_dir(gateway.own_folder().join("more")).expect("made");
    write(&gateway.own_folder().join("more/m.toml"), &file("/m", backend));
    until_status(&gateway, "/m", 200).await;
}

#[tokio::test]
async fn keys_and_files_that_a_setting_names_are_watched_too() {
    let backend = echo().await;
    let dir = tempfile::tempdir().expect("a folder");
    let secret = dir.path().join("secret");
    write(&secret, "first\n");
    let header = format!("request_headers = {{ \"X-Secret\" = \"${{file:{}}}\" }}", secret.display());
    let gateway = gateway(Setup::routes(route("/a", backend, &header))).await;
    let seen = async || gateway.get("/a").await.json()["headers"]["x-secret"].clone();
    assert_eq!(seen().await, "first");
    write(&secret, "second\n");
    gateway.until("the new secret is sent", || async { seen().await == "second" }).await;
    // As a certificate would be named.
    let named = gateway.own_folder().join("named.pem");
    write(&named, "one");
    let config = gateway.own_folder().join("gateway.toml");
    let text = std::fs::read_to_string(&config).expect("gateway.toml");
    write(&config, &format!("{text}\n[scopes]\n\"named\" = \"named.pem\"\n"));
    let reloads = || gateway.log().matches("was reloaded").count();
    gateway.until("it is read", || async { gateway.log().contains("gateway.toml changed") && reloads() >= 2 }).await;
    let before = reloads();
    write(&named, "two, longer");
    gateway.until("it is read again", || async { reloads() > before && gateway.log().contains("named.pem changed") }).await;
    gateway.cli(&["signing-key", "rotate"], "");
    gateway.until("the new key is published", || async { gateway.published_keys().await.len() == 2 }).await;
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_policy_until_it_is_mended() {
    let backend = echo().await;
    let gateway = gateway(Setup::routes(route("/a", backend, ""))).await;
    let routes = gateway.own_folder().join("routes/test.toml");
    write(&routes, &file("/b", backend).replace("auth =", "auht ="));
    gateway.until("the reload is refused", || async { gateway.log().contains("auht") }).await;
    assert_eq!((gateway.get("/a").await.status, gateway.get("/b").await.status), (200, 404));
    write(&routes, &file("/b", backend));
    until_status(&gateway, "/b", 200).await;
    let config = gateway.own_folder().join("gateway.toml");
    let good = std::fs::read_to_string(&config).expect("gateway.toml");
    write(&config, "version = 1\n[server\n");
    gateway.until("that is refused too", || async { gateway.log().matches("the reload is refused").count() >= 2 }).await;
    assert_eq!(gateway.get("/b").await.status, 200);
    write(&config, &good);
    write(&routes, &file("/c", backend));
    until_status(&gateway, "/c", 200).await;
}

/// Points the link `..data` of `folder` to `version`, as Kubernetes does with a `ConfigMap`.
fn swap(folder: &Path, version: &str) {
    symlink(version, folder.join("..data_tmp")).expect("linked");
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("renamed");
}

#[tokio::test]
async fn a_config_map_that_swaps_its_link_is_a_change() {
    let backend = echo().await;
    let gateway = gateway(Setup::routes(route("/one", backend, ""))).await;
    let routes = gateway.own_folder().join("routes");
    let version = |name: &str, text: &str| {
        std::fs::create_dir(routes.join(name)).expect("made");
        write(&routes.join(name).join("test.toml"), text);
    };
    version("..one", &file("/one", backend));
    swap(&routes, "..one");
    std::fs::remove_file(routes.join("test.toml")).expect("removed");
    symlink("..data/test.toml", routes.join("test.toml")).expect("linked");
    for (name, path) in [("..two", "/two"), ("..three", "/three"), ("..four", "/four")] {
        version(name, &file(path, backend));
        swap(&routes, name);
        until_status(&gateway, path, 200).await;
    }
    assert_eq!(gateway.get("/one").await.status, 404);
}
