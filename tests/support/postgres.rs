//! Real PostgreSQL servers: one that all tests share, each with a database of its own, and servers of one's own, to be
//! stopped, paused and killed.
//!
//! PostgreSQL refuses root, so that root starts it as `postgres` or `nobody`.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// The user that may do everything.
const OWNER: &str = "portcullis";

/// Stops the shared server when for some time no test has held the lock.
const KEEPER: &str = r#"
idle=0
while sleep 3 && kill -0 "$1"; do
    if flock -n -x "$2/users" true; then idle=$((idle + 1)); else idle=0; fi
    [ "$idle" -ge 5 ] || continue
    exec 9>"$2/start"
    flock 9
    if flock -n -x "$2/users" true; then
        kill -INT "$1"
        while kill -0 "$1"; do sleep 0.1; done
        rm -rf "$2"
        exit
    fi
    exec 9>&-
    idle=0
done
"#;

/// An empty database, gone when this is dropped.
pub(crate) struct Database {
    name: String,
    /// `postgres://…`
    pub(crate) url: String,
    admin: PgConnectOptions,
}

impl Database {
    /// One on the shared server, which is started where it does not run.
    pub(crate) fn new() -> Self {
        static SHARED: OnceLock<Shared> = OnceLock::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let shared = SHARED.get_or_init(Shared::join);
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let admin = admin(&shared.folder);
        run_on(&admin, format!("CREATE DATABASE {name} TEMPLATE template0")).expect("created");
        let url = format!("postgres://{OWNER}@localhost/{name}?host={}", shared.folder.display());
        Self { name, url, admin }
    }
}

impl Database {
    /// Ends all connections, and takes no new ones.
    pub(crate) fn shut(&self) {
        let name = &self.name;
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        run_on(&self.admin, format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).expect("shut");
        run_on(&self.admin, end).expect("ended");
    }

    /// Takes connections again.
    pub(crate) fn reopen(&self) {
        run_on(&self.admin, format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name)).expect("open");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        run_on(&self.admin, format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).expect("dropped");
    }
}

/// How the owner gets into a server with its socket in `folder`.
fn admin(folder: &Path) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass().socket(folder).username(OWNER).database("postgres")
}

/// Whether a server takes connections, and not only listens.
fn answers(options: &PgConnectOptions) -> bool {
    run_on(options, "SELECT 1".to_owned()).is_ok()
}

/// Runs a statement as the owner, wherever the caller is: inside a runtime or not.
fn run_on(options: &PgConnectOptions, statement: String) -> sqlx::Result<()> {
    let options = options.clone().disable_statement_logging();
    let done = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect_with(&options).await?;
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
            connection.close().await
        })
    });
    done.join().expect("no panic")
}

/// The server that tests of all processes share, in a folder that is the same for all of them.
struct Shared {
    folder: PathBuf,
    /// Locked, shared, for as long as this process may use the server.
    _users: File,
}

impl Shared {
    fn join() -> Self {
        let checkout = crc32fast::hash(env!("CARGO_MANIFEST_DIR").as_bytes());
        let me = rustix::process::geteuid().as_raw();
        let folder = std::env::temp_dir().join(format!("portcullis-pg-{me}-{checkout:08x}"));
        loop {
            fs::create_dir_all(&folder).expect("a folder");
            let start = File::create(folder.join("start")).expect("a lock file");
            start.lock().expect("locked");
            // Whoever ended the server meanwhile took the folder along.
            if !is_same(&start, &folder.join("start")) {
                continue;
            }
            if !answers(&admin(&folder)) {
                Self::launch(&folder);
            }
            let users = File::create(folder.join("users")).expect("a lock file");
            users.lock_shared().expect("locked");
            return Self { folder, _users: users };
        }
    }

    #[expect(clippy::zombie_processes, reason = "the server and its keeper are to outlive this process")]
    fn launch(folder: &Path) {
        let data = folder.join("data");
        let _ = fs::remove_dir_all(&data);
        initialise(&data);
        let settings = ["listen_addresses=", "max_connections=400", "fsync=off", "log_min_messages=panic"];
        let server = spawn(&data, folder, &settings);
        wait_until("the shared server answers", || answers(&admin(folder)));
        Command::new("sh")
            .args(["-c", KEEPER, "keeper", &server.id().to_string()])
            .arg(folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh is there");
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let open = file.metadata().expect("its state");
    fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (open.dev(), open.ino()))
}

/// A server of one's own on a free port of the loopback; ends when dropped.
pub(crate) struct PostgresServer {
    port: u16,
    folder: tempfile::TempDir,
    settings: Vec<String>,
    process: Option<Child>,
}

impl PostgresServer {
    /// One that is initialised, and does not run yet. `port` is free; `settings` are of postgresql.conf.
    pub(crate) fn new(port: u16, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        open_to_all(folder.path());
        initialise(&folder.path().join("data"));
        let settings = settings.iter().map(ToString::to_string).collect();
        Self { port, folder, settings, process: None }
    }

    /// Its data folder; what is put there has to belong to [`server_user`].
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The URL of the database that is always there.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{}/postgres", self.port)
    }

    /// The URL of a database for a user with a password, both as they are written in URLs.
    pub(crate) fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements as the owner, who gets in by the socket.
    pub(crate) fn run(&self, statements: &str) {
        for statement in statements.split("; ") {
            run_on(&self.admin(), statement.to_owned()).expect("it runs");
        }
    }

    fn admin(&self) -> PgConnectOptions {
        admin(self.folder.path()).port(self.port)
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&mut self) {
        let addresses = "listen_addresses=127.0.0.1".to_owned();
        let all: Vec<String> = [addresses, format!("port={}", self.port), "fsync=off".to_owned()].into();
        let all: Vec<&str> = all.iter().chain(&self.settings).map(String::as_str).collect();
        self.process = Some(spawn(&self.data(), self.folder.path(), &all));
        wait_until("the server answers", || answers(&self.admin()));
    }

    /// `SIGKILL`s the server, as a power cut would: nobody is told.
    pub(crate) fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // Immediate shutdown: the postmaster ends its children too, and nothing is written.
        signal(&process, Signal::QUIT);
        process.wait().expect("ours to wait for");
    }

    /// `SIGSTOP`s every process of it: connections stay, nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal_all("-STOP");
    }

    /// Goes on after [`pause`](Self::pause).
    pub(crate) fn resume(&self) {
        self.signal_all("-CONT");
    }

    fn signal_all(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs");
        // The postmaster leads a group; its children are in sessions of their own.
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", process.id())).expect("its children");
        let all = std::iter::once(process.id().to_string()).chain(children.split_whitespace().map(str::to_owned));
        Command::new("kill").arg(name).args(all).status().expect("kill");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.resume();
        }
        self.kill();
    }
}

/// Who runs servers: us, or somebody who may where we are root. Numbers of the user and the group.
pub(crate) fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("users");
    let number = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map_while(|field| field.parse::<u32>().ok());
        Some((fields.next()?, fields.next()?))
    };
    Some(number("postgres").or_else(|| number("nobody")).expect("a user that is not root"))
}

/// A program of PostgreSQL; Debian keeps the server's out of the path.
fn program(name: &str) -> Command {
    let debians = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(debians).map(|folder| folder.join(name)).find(|file| file.is_file());
    let mut command = Command::new(found.expect("PostgreSQL's server is installed (Debian: postgresql)"));
    if let Some((user, group)) = server_user() {
        command.uid(user).gid(group);
    }
    // Nobody's settings but the test's.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("ours");
    if let Some((user, group)) = server_user() {
        chown(folder, Some(user), Some(group)).expect("we are root");
    }
}

fn initialise(data: &Path) {
    open_to_all(data.parent().expect("a folder"));
    let with = |locale: &[&str]| {
        let mut command = program("initdb");
        command.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--username", OWNER]).args(locale).arg("-D").arg(data);
        command.output().expect("initdb starts")
    };
    // An order unlike that of the bytes, where it is to be had, so that what relies on the database's is noticed.
    let mut made = with(&["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]);
    if !made.status.success() {
        made = with(&["--locale=C.UTF-8"]);
    }
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn spawn(data: &Path, sockets: &Path, settings: &[&str]) -> Child {
    let log = sockets.join("log");
    let mut command = program("postgres");
    command.arg("-D").arg(data).arg("-k").arg(sockets);
    for setting in settings {
        command.args(["-c", setting]);
    }
    let out = File::options().create(true).append(true).open(&log).expect("a log");
    command.process_group(0).stdout(Stdio::null()).stderr(out).spawn().expect("postgres starts")
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).expect("it runs");
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within 20 s: {what}");
}
