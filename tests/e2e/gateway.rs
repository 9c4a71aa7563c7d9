//! The real binary, started as an operator would: a folder with gateway.toml and routes, users made by the CLI.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::ports::free_address;
use crate::storage::Storage;

/// Password of every user that tests make.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// What a gateway is started with.
pub(crate) struct Setup {
    /// Keys of `[server]` beside the addresses.
    pub(crate) server: String,
    /// Further sections of gateway.toml.
    pub(crate) sections: String,
    /// routes/test.toml without its `version`.
    pub(crate) routes: String,
    /// The folder and the store of another replica, to share its store and keys.
    beside: Option<(PathBuf, Storage)>,
    /// `[store].url`, where the test has a server of its own.
    store: Option<String>,
    /// Extra environment.
    pub(crate) env: Vec<(String, String)>,
    /// Arguments behind `run`.
    pub(crate) args: Vec<String>,
}

impl Setup {
    /// A gateway with these routes and quick password hashes.
    pub(crate) fn routes(routes: impl Into<String>) -> Self {
        Self {
            server: String::new(),
            sections: String::new(),
            routes: routes.into(),
            beside: None,
            store: None,
            env: Vec::new(),
            args: Vec::new(),
        }
    }

    /// Adds sections to gateway.toml.
    pub(crate) fn with(mut self, sections: &str) -> Self {
        self.sections.push_str(sections);
        self.sections.push('\n');
        self
    }

    /// Adds keys to `[server]`.
    pub(crate) fn server(mut self, keys: &str) -> Self {
        self.server.push_str(keys);
        self.server.push('\n');
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds arguments behind `run`.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Shares the store and the keys of `other`.
    pub(crate) fn beside(mut self, other: &Gateway) -> Self {
        self.beside = Some((other.folder().to_owned(), other.storage.clone()));
        self
    }

    /// Keeps the store at `url`.
    pub(crate) fn store(mut self, url: &str) -> Self {
        self.store = Some(url.to_owned());
        self
    }
}

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    dir: TempDir,
    home: PathBuf,
    storage: Storage,
    /// `http://127.0.0.1:port`
    pub(crate) url: String,
    /// The same of the admin listener.
    pub(crate) admin: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// A client with a deadline, that follows no redirects.
    pub(crate) http: reqwest::Client,
}

fn portcullis() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env_remove("RUST_LOG").env_remove("PORTCULLIS_CONFIG");
    command
}

/// Runs the binary with `stdin`, to its end.
pub(crate) fn portcullis_in(folder: &Path, args: &[&str], stdin: &str) -> Output {
    let mut child = portcullis()
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("stdin").write_all(stdin.as_bytes()).ok();
    child.wait_with_output().expect("the binary ends")
}

impl Gateway {
    /// Starts one and waits until it is ready.
    pub(crate) async fn start(setup: Setup) -> Self {
        let gateway = Self::start_unready(setup).await;
        gateway.until("readyz answers 200", || async { gateway.admin_status("/readyz").await == Some(200) }).await;
        gateway
    }

    /// Starts one and waits until it answers at all.
    pub(crate) async fn start_unready(setup: Setup) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), setup).await
    }

    /// Starts one on keys that `init` made, as several replicas need it.
    pub(crate) async fn start_with_keys(setup: Setup, dir: TempDir) -> Self {
        let made = portcullis_in(dir.path(), &["init", "made", "--password-stdin"], PASSWORD);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::rename(dir.path().join("made/keys"), dir.path().join("keys")).expect("moved");
        let gateway = Self::start_in(dir, setup).await;
        gateway.until("readyz answers 200", || async { gateway.admin_status("/readyz").await == Some(200) }).await;
        gateway
    }

    async fn start_in(dir: TempDir, setup: Setup) -> Self {
        let (address, admin) = (free_address(), free_address());
        let own = || {
            let home = dir.path().to_owned();
            let storage = setup.store.clone().map_or_else(|| Storage::of(&home), Storage::At);
            (home, storage)
        };
        let (home, storage) = setup.beside.clone().unwrap_or_else(own);
        std::fs::create_dir(dir.path().join("routes")).expect("a routes folder");
        std::fs::write(dir.path().join("routes/test.toml"), format!("version = 1\n{}", setup.routes)).expect("routes");
        let config = format!(
            "version = 1\n[server]\nlisten = [\"{address}\"]\nadmin_listen = \"{admin}\"\npublic_url = \"http://gateway.test\"\n{}\n\
             [passwords]\nargon2 = {{ memory = \"1MiB\", iterations = 1, parallelism = 1 }}\n\
             [store]\nurl = \"{}\"\n{}\n",
            setup.server,
            storage.url(),
            setup.sections,
        );
        storage.make_key(&home, &config);
        std::fs::write(dir.path().join("gateway.toml"), with_keys(&config, &home)).expect("gateway.toml");
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        let args: Vec<&str> = std::iter::once("run").chain(setup.args.iter().map(String::as_str)).collect();
        let child = Self::spawn(dir.path(), &args, &setup.env);
        let gateway =
            Self { child, dir, home, storage, url: format!("http://{address}"), admin: format!("http://{admin}"), address, http };
        gateway.until("livez answers", || async { gateway.admin_status("/livez").await == Some(200) }).await;
        gateway
    }

    fn spawn(folder: &Path, args: &[&str], env: &[(String, String)]) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log file");
        portcullis()
            .current_dir(folder)
            .args(args)
            .envs(env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the gateway starts")
    }

    /// The folder that holds the store and the keys.
    pub(crate) fn folder(&self) -> &Path {
        &self.home
    }

    /// `[store].url`
    pub(crate) fn store_url(&self) -> &str {
        self.storage.url()
    }

    /// Takes the store away from all who share it.
    pub(crate) fn take_store_away(&self) {
        self.storage.take_away(&self.home);
    }

    /// Gives it back.
    pub(crate) fn bring_store_back(&self) {
        self.storage.bring_back(&self.home);
    }

    /// The folder that holds gateway.toml, routes and the log.
    pub(crate) fn own_folder(&self) -> &Path {
        self.dir.path()
    }

    /// Its routes, without their `version`.
    pub(crate) fn routes(&self) -> String {
        let file = std::fs::read_to_string(self.dir.path().join("routes/test.toml")).expect("the routes");
        file.trim_start_matches("version = 1\n").to_owned()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// How much it has logged, in bytes.
    fn logged(&self) -> usize {
        let length = std::fs::metadata(self.dir.path().join("log")).map_or(0, |file| file.len());
        usize::try_from(length).expect("a short log")
    }

    /// What it has logged since there was so much.
    fn logged_since(&self, length: usize) -> String {
        let log = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(log.get(length..).unwrap_or_default()).into_owned()
    }

    /// Runs a CLI command on its configuration; it must end with 0. Gives its stdout.
    pub(crate) fn cli(&self, args: &[&str], stdin: &str) -> String {
        let output = portcullis_in(self.dir.path(), args, stdin);
        assert!(
            output.status.success(),
            "{args:?} ended with {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs a CLI command with [`PASSWORD`] as its stdin and `env` around it; it must end with 0.
    pub(crate) fn cli_env(&self, env: &[(&str, &str)], args: &[&str]) {
        let mut child = portcullis()
            .current_dir(self.dir.path())
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        child.stdin.take().expect("stdin").write_all(PASSWORD.as_bytes()).ok();
        assert!(child.wait().expect("the binary ends").success(), "{args:?}");
    }

    /// Makes a user with [`PASSWORD`].
    pub(crate) fn user(&self, name: &str, more: &[&str]) {
        let mut args = vec!["user", "add", name, "--password-stdin"];
        args.extend(more);
        self.cli(&args, PASSWORD);
    }

    /// Logs a user in; gives the token response.
    pub(crate) async fn login(&self, name: &str) -> Value {
        self.login_asking(name, None).await
    }

    /// Logs a user in, asking for scopes.
    pub(crate) async fn login_asking(&self, name: &str, scope: Option<&str>) -> Value {
        let mut body = serde_json::json!({ "username": name, "password": PASSWORD });
        if let Some(scope) = scope {
            body["scope"] = scope.into();
        }
        let answer = self.post("/auth/login", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// POSTs JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.http.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// GETs with a bearer token.
    pub(crate) async fn get_as(&self, path: &str, token: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.url)).bearer_auth(token)).await
    }

    /// The published keys; on the public host only.
    pub(crate) async fn published_keys(&self) -> Vec<Value> {
        let set = self.send(self.request("GET", "/.well-known/jwks.json").header("Host", "gateway.test")).await;
        assert_eq!(set.status, 200, "{}", set.body);
        set.json()["keys"].as_array().expect("keys").clone()
    }

    /// GETs.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// A request to this gateway.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().expect("a method"), format!("{}{path}", self.url))
    }

    /// Sends, and reads the answer whole.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let (again, before) = (request.try_clone(), self.logged());
        let failed = match request.send().await {
            Ok(answer) => match Answer::read_or_fail(answer).await {
                Ok(answer) => return answer,
                Err(error) => error,
            },
            Err(error) => error,
        };
        // Who still waits for a backend when the credential is revoked is cut off; nothing else may end a call like that, and what
        // was revoked before this call began is no excuse.
        let is_cut = || async { self.logged_since(before).contains("reason=revoked") };
        self.until(&format!("{failed:?} is of a revocation"), is_cut).await;
        Answer::read(again.expect("no stream").send().await.expect("an answer")).await
    }

    /// The status of an admin path, when there is an answer.
    pub(crate) async fn admin_status(&self, path: &str) -> Option<u16> {
        let answer = self.http.get(format!("{}{path}", self.admin)).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    /// The metrics' text.
    pub(crate) async fn metrics(&self) -> String {
        let answer = self.http.get(format!("{}/metrics", self.admin)).send().await.expect("metrics");
        answer.text().await.expect("text")
    }

    /// Waits until `condition` holds; fails the test with the log after 20 s.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, condition: impl Fn() -> F) {
        until_or(what, condition, || self.log()).await;
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success(), "the gateway is gone:\n{}", self.log());
    }

    /// Lets none of its files grow beyond `bytes`, as a full disk would; `None` ends that.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = rustix::process::Rlimit { current: bytes, maximum: None };
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit).expect("ours to limit");
    }

    /// Its resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Kills it as a power cut would, and starts it again on what is left.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.child.kill().ok();
        self.child.wait().expect("it ends");
        self.spawn_again();
        self.until("it is ready again", || async { self.admin_status("/readyz").await == Some(200) }).await;
    }

    /// Starts what has ended again, and does not wait for it.
    pub(crate) fn spawn_again(&mut self) {
        self.child = Self::spawn(self.dir.path(), &["run"], &[]);
    }

    /// Starts another process that takes this one's place, and does not wait for it; gives the old one.
    pub(crate) fn upgrade(&mut self) -> Child {
        let new = Self::spawn(self.dir.path(), &["run", "--upgrade"], &[]);
        std::mem::replace(&mut self.child, new)
    }

    /// Waits until it has ended by itself; gives its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        for _ in 0..1200 {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("still running after 30 s:\n{}", self.log())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.url, self.log());
        }
    }
}

/// Puts `[tokens].keys` beside the shared store, where the test does not set `[tokens]` itself.
fn with_keys(config: &str, home: &Path) -> String {
    let line = format!("keys = \"{}/keys\"", home.display());
    if config.contains("[tokens]") {
        config.replacen("[tokens]", &format!("[tokens]\n{line}"), 1)
    } else {
        format!("{config}\n[tokens]\n{line}\n")
    }
}

/// Waits until `condition` holds; fails the test with `log` after 20 s.
pub(crate) async fn until_or<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F, log: impl Fn() -> String) {
    for _ in 0..800 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not within 20 s: {what}\n{}", log())
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its header fields.
    pub(crate) headers: reqwest::header::HeaderMap,
    /// Its body.
    pub(crate) body: String,
}

impl Answer {
    /// Reads one.
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        Self::read_or_fail(response).await.expect("a body")
    }

    /// Reads one that may be cut off.
    async fn read_or_fail(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.text().await? })
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The problem's `code`.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header's values, joined.
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect::<Vec<_>>().join(" | ")
    }
}
