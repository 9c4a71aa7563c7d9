//! What is in deploy/: good as it stands.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::pasted::document;

/// The text of `key: |` in a manifest.
fn block(manifest: &str, key: &str) -> String {
    let rest = manifest.split_once(&format!("  {key}: |\n")).unwrap_or_else(|| panic!("no {key}")).1;
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The number behind `before`.
fn seconds(text: &str, before: &str) -> u32 {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before}")).1;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

fn check(folder: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let command =
        command.current_dir(folder).args(["check", "-c", "gateway.toml"]).env("POD_IP", "10.1.2.3").env("POSTGRES_PASSWORD", "x");
    let output = command.env_remove("PORTCULLIS_CONFIG").output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn the_pod_with_a_sidecar_is_configured_well_and_ends_in_order() {
    let manifest = document("deploy/kubernetes/sidecar.yaml");
    let (config, routes) = (block(&manifest, "gateway.toml"), block(&manifest, "orders.toml"));
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("routes")).expect("made");
    fs::write(dir.path().join("gateway.toml"), &config).expect("written");
    fs::write(dir.path().join("routes/orders.toml"), &routes).expect("written");
    let (good, said) = check(dir.path());
    assert!(good, "{said}");
    assert!(said.contains("2 routes, 1 backend, 1 warning") && said.contains("`0.0.0.0:8080` is plain HTTP"), "{said}");

    let drains = seconds(&config, "drain_delay = \"") + seconds(&config, "drain_timeout = \"");
    let sleeps = seconds(&manifest, "[\"sleep\", \"");
    assert!(drains <= sleeps, "the application ends before the gateway has drained");
    assert!(sleeps < seconds(&manifest, "terminationGracePeriodSeconds: "), "the pod is killed while it drains");
    for (port, name) in [(seconds(&config, "0.0.0.0:"), "http"), (seconds(&config, "${POD_IP}:"), "admin")] {
        assert!(manifest.contains(&format!("name: {name}, containerPort: {port}")), "{name} is not {port}");
    }
    for mount in ["/run/secrets/signing-keys", "/var/lib/portcullis"] {
        assert!(
            config.contains(mount) && manifest.contains(&format!("mountPath: {mount}")),
            "{mount} is not where it is looked for"
        );
    }
}

#[test]
fn the_compose_files_configuration_is_good() {
    let (good, said) = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose"));
    assert!(good, "{said}");
}

/// Kubernetes mounts secrets in a folder that all may write to, of a file system that nobody may write to.
#[test]
fn keys_in_a_folder_for_everybody_are_taken_only_where_it_is_mounted_to_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let script = format!(
        "set -e; portcullis={}\n\
         echo 'correct horse battery staple' | $portcullis init --password-stdin >/dev/null 2>&1\n\
         mv keys made; mkdir keys; mount -t tmpfs -o mode=1777 keys keys\n\
         mkdir keys/..2026; cp -p made/*.pem keys/..2026/; ln -s ..2026 keys/..data\n\
         cd keys; for key in ..2026/*; do ln -s ..data/${{key##*/}} .; done; cd ..\n\
         $portcullis signing-key list 2>&1 && exit 9\n\
         mount -o remount,ro keys; $portcullis signing-key list",
        env!("CARGO_BIN_EXE_portcullis")
    );
    let mut command = Command::new("unshare");
    let command = command.args(["--map-root-user", "--mount", "sh", "-c", &script]).current_dir(dir.path());
    let output = command.env_remove("PORTCULLIS_CONFIG").output().expect("unshare");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("can be changed by others") && said.contains("signs"), "{said}");
}
